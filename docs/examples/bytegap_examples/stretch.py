"""An objective: one contiguous stretch of each sequence is masked, with text visible on both sides (infilling).

It is for training only: a stretch is not a uniformly chosen set of positions, so runs are scored by the bound of `mdm`.
B sequences, S tokens a sequence.
"""

from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.objectives.base import Batch, Sequences
from bytegap.objectives.mdm import MaskedScoring, mask_tokens, num_masked_and_weight


@dataclass(frozen=True)
class StretchInfilling(MaskedScoring):
    """Training on one masked stretch; attention, sampler and scoring are those of `MaskedScoring`."""

    trains_on_what_it_scores: ClassVar[bool] = False

    share: float = Field(default=1.0, gt=0, le=1)
    """Largest share of the sequence that is masked."""

    def _longest(self, seq_len: int) -> int:
        return max(1, round(self.share * seq_len))

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs; the plan derives FLOPs, steps and batch size from it."""
        return sequence_cost.masked(seq_len, sequence_cost.expected_num_masked(self._longest(seq_len)))

    def training_batch(self, sequences: Sequences) -> Batch:
        """As many tokens masked as `mdm` would mask of so long a sequence, contiguous, anywhere."""
        B, S = sequences.tokens_BS.shape
        longest = self._longest(S)
        k_B, weight_B = num_masked_and_weight(sequences.t_B, longest)
        first_B = (torch.rand(B, generator=sequences.rng) * (S - k_B + 1)).floor()
        index_S = torch.arange(S)
        masked_BS = (index_S >= first_B[:, None]) & (index_S < (first_B + k_B)[:, None])
        return mask_tokens(sequences.tokens_BS, masked_BS, weight_B * S / longest, sequences.vocabulary)
