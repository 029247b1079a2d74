"""Masked diffusion over bytes that hides whole words, or tokens: the contiguity masking destroys, back in training.

As many bytes are hidden as under `mdm`, with the same weights; but word by word, the words in random order, the last
one cut where the count is reached. Which bytes those are depends on the text, so that this is no bound on anything:
runs are scored by that of `mdm`. A word is a run of letters, of digits or of anything else, with the space before it,
much as byte-pair encoders cut text before they merge; a token is a symbol of another of the study's symbol sets.
"""

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives import mdm
from bytegap.objectives._base import Answer, Question, Vocabulary, answer

EXACT = False
DRAWN = "masked"
SIGHT = mdm.SIGHT
BYTES_ONLY = True
"""Where a word begins is to be seen in single bytes."""
TOLD = "of"
"""The option that names a symbol set: `ask` is told where its symbols begin."""

_SPACE, _ASCII, _EOS = 32, 128, 256


class Options(plugins.Options):
    """What is hidden whole."""

    of: str | None = None
    """Symbols of this set of the study; words where it is left out."""


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


def ask(  # noqa: PLR0913, PLR0917 - as every objective's, and what it is told
    symbols_BS: Tensor,
    u_B: Tensor,
    generator: torch.Generator,
    vocabulary: Vocabulary,
    options: Options,
    starts_BS: Tensor | None = None,
) -> Question:
    """Hide k = ceil(u^2 S) bytes, word by word, or by what begins at `starts_BS` (B, S)."""
    del options
    units_BS = words(symbols_BS) if starts_BS is None else starts_BS.long().cumsum(1) - starts_BS[:, :1].long()
    B, S = symbols_BS.shape
    k_B, weight_B = mdm.counts(u_B, S)
    word_draw_BS = torch.rand((B, S), generator=generator, dtype=torch.float64)  # as many words as bytes at most
    place_draw_BS = torch.rand((B, S), generator=generator, dtype=torch.float64)
    word_rank_BS = word_draw_BS.argsort(1).argsort(1).gather(1, units_BS)
    rank_BS = (word_rank_BS + place_draw_BS).argsort(1).argsort(1)
    return mdm.masked(symbols_BS, rank_BS < k_B[:, None], weight_B, vocabulary)


score = mdm.score
"""Its bound: what a run is reported by."""
loss = answer
__all__ = ["BYTES_ONLY", "DRAWN", "EXACT", "SIGHT", "TOLD", "Answer", "Options", "ask", "loss", "row", "score"]
