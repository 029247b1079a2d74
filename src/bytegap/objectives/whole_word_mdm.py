"""Masked diffusion over bytes that masks words, or tokens of another tokenizer, as units.

As many bytes are masked as under `mdm`, with the same weights, but word by word, the words in random order, the last
one cut where the count is reached.
Which bytes those are depends on the text, so that the training loss bounds nothing: runs are scored as `mdm`.
A word is a run of letters, of digits, or of anything else, with the space before it, much as byte-pair encoders split
text before they merge.
"""

from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.objectives.base import Batch, Sequences
from bytegap.objectives.mdm import MaskedScoring, mask_tokens, num_masked_and_weight

_SPACE, _ASCII, _EOS = 32, 128, 256
WORD = "word"


@dataclass(frozen=True)
class WholeWordMaskedDiffusion(MaskedScoring):
    """Masked diffusion that trains on masked whole words."""

    trains_on_what_it_scores: ClassVar[bool] = False
    bytes_only: ClassVar[bool] = True

    units: str = WORD
    """`word`, or the name of a tokenizer of the study, whose tokens are masked as units."""

    @property
    def hides_any_set(self) -> bool:
        """Units are hidden as one."""
        return False

    @property
    def conditioning_tokenizer(self) -> str | None:
        """The tokenizer whose tokens are the units."""
        return None if self.units == WORD else self.units

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        return sequence_cost.masked(seq_len)

    def training_batch(self, sequences: Sequences) -> Batch:
        """Mask k = ceil(t^2 S) bytes, unit by unit."""
        tokens_BS, starts_BS, rng = sequences.tokens_BS, sequences.token_starts_BS, sequences.rng
        unit_BS = word_index(tokens_BS) if starts_BS is None else starts_BS.long().cumsum(1) - starts_BS[:, :1].long()
        B, S = tokens_BS.shape
        k_B, weight_B = num_masked_and_weight(sequences.t_B, S)
        unit_draw_BS = torch.rand((B, S), generator=rng, dtype=torch.float64)  # at most as many units as bytes
        byte_draw_BS = torch.rand((B, S), generator=rng, dtype=torch.float64)
        unit_rank_BS = unit_draw_BS.argsort(1).argsort(1).gather(1, unit_BS)
        rank_BS = (unit_rank_BS + byte_draw_BS).argsort(1).argsort(1)
        return mask_tokens(tokens_BS, rank_BS < k_B[:, None], weight_B, sequences.vocabulary)


def _kind(byte: int) -> int:
    """0 a space, 1 a letter or a byte of another script, 2 a digit, 3 anything else, EOS included."""
    if byte == _SPACE:
        return 0
    if _ASCII <= byte < _EOS or chr(byte).isalpha():
        return 1
    return 2 if chr(byte).isdigit() else 3


_KIND = torch.tensor([_kind(byte) for byte in range(_EOS + 1)])


def word_index(tokens_BS: Tensor) -> Tensor:
    """Which word of its sequence each byte belongs to, (B, S), from 0."""
    kind_BS = _KIND[tokens_BS.clamp(max=len(_KIND) - 1)]
    changed_BS = (kind_BS[:, 1:] != kind_BS[:, :-1]) & (kind_BS[:, :-1] != 0)
    return torch.nn.functional.pad(changed_BS, (1, 0)).cumsum(1)
