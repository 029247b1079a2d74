"""Autoregression: each token given BOS and all tokens before it; its likelihood is exact."""

from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.nn.attention_spec import CAUSAL, AttentionSpec
from bytegap.objectives.base import Batch, Objective, Sequences, targets_only, with_bos
from bytegap.sampling.autoregressive import LeftToRight


@dataclass(frozen=True)
class Autoregressive(Objective):
    """Autoregression, the prediction of each next token."""

    is_exact: ClassVar[bool] = True

    dropped: float = Field(default=0.0, ge=0, lt=1)
    """In training: share of the input tokens that are replaced by MASK, drawn independently for each sequence."""

    @property
    def attention(self) -> AttentionSpec:
        """Causal."""
        return CAUSAL

    @property
    def hides_any_set(self) -> bool:
        """Where inputs were dropped."""
        return self.dropped > 0

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        return sequence_cost.autoregressive(seq_len)

    def sampler(self) -> LeftToRight:
        """Left to right."""
        return LeftToRight()

    def training_batch(self, sequences: Sequences) -> Batch:
        """Every token given those before it, some of which are dropped if the option says so."""
        batch = self.scoring_batch(sequences)
        if not self.dropped:
            return batch
        tokens_BS, vocabulary = sequences.tokens_BS, sequences.vocabulary
        dropped_BS = torch.rand(tokens_BS.shape, generator=sequences.rng) < self.dropped
        kept_BS = tokens_BS.masked_fill(dropped_BS, vocabulary.mask)
        return replace(batch, inputs_BP=with_bos(kept_BS[:, :-1], vocabulary.bos))

    def scoring_batch(self, sequences: Sequences) -> Batch:
        """Every token, or those of the target mask, given all tokens before it; times are not used."""
        tokens_BS = sequences.tokens_BS
        B, S = tokens_BS.shape
        all_M = torch.arange(B * S, device=tokens_BS.device)
        batch = Batch(
            inputs_BP=with_bos(tokens_BS[:, :-1], sequences.vocabulary.bos),
            positions_M=all_M,
            targets_M=tokens_BS.flatten(),
            weights_M=torch.ones(B * S, device=tokens_BS.device),
            row_M=all_M // S,
            token_index_M=all_M % S,
            attention=CAUSAL,
        )
        return targets_only(batch, sequences.target_mask_BS)
