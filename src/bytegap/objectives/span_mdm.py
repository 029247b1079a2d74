"""Masked diffusion that masks spans: the visible tokens of a sequence keep their neighbours.

A sequence is cut into M spans of equal length, the first shorter at random, independently of its tokens; j spans are
masked.
The bound is the sum over j of the mean, over sets of j spans, of the mean cross-entropy summed over a masked span: the
chain rule over spans in random order.
Tokens of one span are predicted independently, so that the bound is valid and not tight.
Runs are scored by the bound of `mdm`, which can be tight; `training_batch` estimates the other one.
"""

from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.train_sequences import check_not_longer
from bytegap.objectives.base import Batch, Sequences
from bytegap.objectives.mdm import MaskedScoring, mask_tokens, num_masked_and_weight


@dataclass(frozen=True)
class SpanMaskedDiffusion(MaskedScoring):
    """Masked diffusion that trains on masked spans of tokens."""

    trains_on_what_it_scores: ClassVar[bool] = False

    length: int = Field(default=4, ge=1)
    """Tokens in a span."""

    @property
    def hides_any_set(self) -> bool:
        """Only spans of one token; longer ones are hidden as one."""
        return self.length == 1

    def check(self, seq_len: int) -> None:
        """StudyError where a span is longer than a sequence."""
        check_not_longer("spans", self.length, seq_len)

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        return sequence_cost.span_masked(seq_len, self.length)

    def training_batch(self, sequences: Sequences) -> Batch:
        """Mask j of the spans of each sequence, j drawn as `mdm` draws k."""
        tokens_BS, rng = sequences.tokens_BS, sequences.rng
        B, S = tokens_BS.shape
        first_B = torch.randint(1, self.length + 1, (B,), generator=rng)
        span_BS = (torch.arange(S) - first_B[:, None]).div(self.length, rounding_mode="floor") + 1
        spans_B = span_BS[:, -1] + 1
        j_B, weight_B = num_masked_and_weight(sequences.t_B, spans_B.to(sequences.t_B.dtype))
        draw_BM = torch.rand((B, int(spans_B.max())), generator=rng)
        draw_BM[torch.arange(draw_BM.shape[1]) >= spans_B[:, None]] = 2.0  # spans that a sequence has not: ranked last
        rank_BM = draw_BM.argsort(1).argsort(1)
        masked_BS = rank_BM.gather(1, span_BS) < j_B[:, None]
        return mask_tokens(tokens_BS, masked_BS, weight_B, sequences.vocabulary)
