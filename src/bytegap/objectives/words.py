"""Masked diffusion over bytes that hides whole words: the contiguity that masking destroys, given back in training.

As many bytes are hidden as under `mdm`, with the same weights; but word by word, the words in random order, the last
one cut where the count is reached. Which bytes those are depends on the text, so that this is no bound on anything:
runs are scored by that of `mdm`. A word is a run of letters, of digits or of anything else, with the space before it,
much as byte-pair encoders cut text before they merge.
"""

import torch
from torch import Tensor

from bytegap.accounting import rows
from bytegap.objectives import mdm
from bytegap.objectives._base import Answer, Question, Vocabulary, answer
from bytegap.plugins import Options

EXACT = False
SIGHT = mdm.SIGHT
BYTES_ONLY = True
"""Where a word begins is to be seen in single bytes."""

_SPACE, _ASCII, _EOS = 32, 128, 256


def _kind(byte: int) -> int:
    """0 a space, 1 a letter or a byte of other scripts, 2 a digit, 3 anything else, EOS too."""
    if byte == _SPACE:
        return 0
    if _ASCII <= byte < _EOS or chr(byte).isalpha():
        return 1
    return 2 if chr(byte).isdigit() else 3


_KIND = torch.tensor([_kind(byte) for byte in range(_EOS + 1)])


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model."""
    del options
    return rows.masked(symbols)


def words(symbols_BS: Tensor) -> Tensor:
    """Which word of its row each byte belongs to, (B, S), from 0."""
    kind_BS = _KIND[symbols_BS.clamp(max=len(_KIND) - 1)]
    changed_BS = (kind_BS[:, 1:] != kind_BS[:, :-1]) & (kind_BS[:, :-1] != 0)
    return torch.nn.functional.pad(changed_BS, (1, 0)).cumsum(1)


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """Hide k = ceil(u^2 S) bytes, word by word."""
    del options
    B, S = symbols_BS.shape
    k_B, weight_B = mdm.counts(u_B, S)
    word_draw_BS = torch.rand((B, S), generator=generator, dtype=torch.float64)  # as many words as bytes at most
    place_draw_BS = torch.rand((B, S), generator=generator, dtype=torch.float64)
    word_rank_BS = word_draw_BS.argsort(1).argsort(1).gather(1, words(symbols_BS))
    rank_BS = (word_rank_BS + place_draw_BS).argsort(1).argsort(1)
    return mdm.masked(symbols_BS, rank_BS < k_B[:, None], weight_B, vocabulary)


def score(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """The bound of `mdm`: what a run is reported by."""
    del options
    return mdm.score(symbols_BS, u_B, generator, vocabulary, mdm.Options())


loss = answer
__all__ = ["BYTES_ONLY", "EXACT", "SIGHT", "Answer", "Options", "ask", "loss", "row", "score"]
