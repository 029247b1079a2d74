"""Masking at a fixed rate, as BERT does (Devlin et al. 2019): a reference whose loss is no bound; scored as `mdm`."""

from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.objectives.base import Batch, Sequences
from bytegap.objectives.mdm import MaskedScoring, mask_tokens


@dataclass(frozen=True)
class MaskedLanguageModel(MaskedScoring):
    """BERT's objective; a masked token is always MASK, never a random token or itself."""

    trains_on_what_it_scores: ClassVar[bool] = False

    rate: float = Field(default=0.15, gt=0, le=1)
    """Share of the tokens that is masked."""

    def _num_masked(self, seq_len: int) -> int:
        return max(1, round(self.rate * seq_len))

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        return sequence_cost.masked(seq_len, self._num_masked(seq_len))

    def training_batch(self, sequences: Sequences) -> Batch:
        """The same number of tokens masked in every sequence, weighted as if all tokens were targets."""
        B, S = sequences.tokens_BS.shape
        k = self._num_masked(S)
        rank_BS = torch.rand((B, S), generator=sequences.rng).argsort(1).argsort(1)
        return mask_tokens(sequences.tokens_BS, rank_BS < k, torch.full((B,), S / k), sequences.vocabulary)
