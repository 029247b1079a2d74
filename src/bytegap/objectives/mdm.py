"""Masked diffusion with an absorbing state: any subset of a sequence's tokens, given the rest.

The bound is NELBO = sum over k of c_k, with c_k the mean cross-entropy per masked position when exactly k uniformly
chosen positions of S are masked: the exact-count form of the continuous-time bound (Sahoo et al. 2024, eq. 10; Shi et
al. 2024, eq. 4), which does not depend on a noise schedule.
With k drawn with probability q_k, the summed cross-entropy over k q_k is an unbiased estimate of it, at any S.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.vocabulary import Vocabulary
from bytegap.nn.attention_spec import BIDIRECTIONAL, AttentionSpec
from bytegap.objectives.base import Batch, KnownLength, Objective, Sequences, UnmaskingInputs, with_bos
from bytegap.sampling.masked_diffusion import MaskedDiffusion as MaskedDiffusionSampler


class BothSides(Objective):
    """What objectives share whose rows are BOS and all tokens, hidden or not, each of which sees all others."""

    @property
    def attention(self) -> AttentionSpec:
        """Bidirectional."""
        return BIDIRECTIONAL

    @property
    def can_unmask(self) -> bool:
        """Hidden tokens are predicted from all that are revealed."""
        return True

    @property
    def known_length(self) -> KnownLength:
        """The number of positions is that of the tokens."""
        return "all"


class MaskedScoring(BothSides):
    """What objectives share whose runs are scored by the NELBO of masked diffusion."""

    def sampler(self) -> MaskedDiffusionSampler:
        """Unmasking in any order."""
        return MaskedDiffusionSampler()

    def scoring_batch(self, sequences: Sequences) -> Batch:
        """Exactly k = ceil(t^2 S) masked positions, weight 1 / (k q_k), q_k = sqrt(k / S) - sqrt((k - 1) / S).

        With t on a lattice, the remaining variance goes as 1 / k, so that few masked positions should be drawn more
        often, as k^-1/2 (importance sampling; docs/method.md has the figures).

        With a target mask, S is the number of targets, other tokens are never masked, and the bound is on the targets
        given the others.
        """
        return nelbo_batch(sequences)

    def unmasking_inputs(self, tokens_BS: Tensor, hidden_BS: Tensor, vocabulary: Vocabulary) -> UnmaskingInputs:
        """BOS and all tokens, hidden or not; any hidden token may be next."""
        return unmasking_in_any_order(tokens_BS, hidden_BS, vocabulary)


@dataclass(frozen=True)
class MaskedDiffusion(MaskedScoring):
    """Masked diffusion (MDLM)."""

    schedule: Literal["importance", "count", "bell", "linear", "cosine"] = "importance"
    """How many positions training masks; scoring always uses `importance`.

    The first three draw a count k from q and weight each of its masked tokens with 1 / (k q_k).
    importance: as `scoring_batch`; the second moment of the gradient is nearly least under it (docs/method.md).
    count: every k alike.
    bell: q_k proportional to k (S + 1 - k), few very small or very large counts.
    linear: each token masked with probability t, weight 1 / t.
    cosine: each token masked with probability m = 1 - cos(pi t / 2), weight m'(t) / m = (pi / 2) sin(pi t / 2) / m
    (Shi et al. 2024, table 1, time running from clean to masked).
    """

    weights: Literal["bound", "flat"] = "bound"
    """Weights of the masked tokens in training: those of the bound, or all alike, with the same sum on average."""

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs; targets are E k, or S x the mean masking probability of the schedule."""
        return sequence_cost.masked(seq_len, self._expected_num_masked(seq_len))

    def _expected_num_masked(self, S: int) -> float:
        probability = {"linear": 1 / 2, "cosine": 1 - 2 / math.pi}.get(self.schedule)
        if probability is not None:
            return S * probability
        if self.schedule == "importance":
            return sequence_cost.expected_num_masked(S)
        return float(_law(self.schedule, S) @ torch.arange(1, S + 1, dtype=torch.float64))

    def training_batch(self, sequences: Sequences) -> Batch:
        """A batch under the schedule and the weights."""
        batch = self._weighted_batch(sequences)
        if self.weights == "bound":
            return batch
        S = sequences.tokens_BS.shape[1]
        return replace(batch, weights_M=torch.full_like(batch.weights_M, S / self._expected_num_masked(S)))

    def _weighted_batch(self, sequences: Sequences) -> Batch:
        tokens_BS, t_B = sequences.tokens_BS, sequences.t_B
        if self.schedule == "importance":
            return nelbo_batch(sequences)
        if self.schedule in _PROPORTIONS:
            return mask_exactly_k(sequences, *_draw_count(_law(self.schedule, tokens_BS.shape[1]), t_B))
        if self.schedule == "linear":
            probability_B, weight_B = t_B, 1 / t_B
        else:
            angle_B = t_B * (math.pi / 2)
            probability_B = 1 - angle_B.cos()
            weight_B = (math.pi / 2) * angle_B.sin() / probability_B
        draw_BS = torch.rand(tokens_BS.shape, generator=sequences.rng)
        return mask_tokens(tokens_BS, draw_BS < probability_B[:, None], weight_B, sequences.vocabulary)


_PROPORTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "count": torch.ones_like,
    "bell": lambda k_S: k_S * (len(k_S) + 1 - k_S),
}
"""What q_k is proportional to, of k = 1 to S."""


@cache
def _law(schedule: str, S: int) -> Tensor:
    """q_k, (S,), float64."""
    proportions_S = _PROPORTIONS[schedule](torch.arange(1, S + 1, dtype=torch.float64))
    return proportions_S / proportions_S.sum()


def _draw_count(q_S: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
    """(k, weight 1 / (k q_k)) at times in (0, 1], by the inverse of the distribution function."""
    index_B = torch.searchsorted(q_S.cumsum(0), t_B.to(q_S)).clamp(max=len(q_S) - 1)
    return index_B + 1, 1 / ((index_B + 1) * q_S[index_B])


def nelbo_batch(sequences: Sequences) -> Batch:
    """A batch whose loss is an unbiased estimate of the NELBO; see `MaskedScoring.scoring_batch`."""
    targets_BS = sequences.target_mask_BS
    units = sequences.tokens_BS.shape[1] if targets_BS is None else targets_BS.sum(1).to(sequences.t_B.dtype)
    k_B, weight_B = num_masked_and_weight(sequences.t_B, units)
    return mask_exactly_k(sequences, k_B, weight_B)


def num_masked_and_weight(t: Tensor, units: int | Tensor) -> tuple[Tensor, Tensor]:
    """How many of S units to mask, k = ceil(t^2 S), and the weight 1 / (k q_k) of each; shaped as `t`.

    With S = 0, k is 0 and the weight, which nothing uses, is nan.
    """
    k = (t.square() * units).ceil().clamp(min=1).minimum(torch.as_tensor(units, dtype=t.dtype))
    share = (k / units).sqrt() - ((k - 1) / units).sqrt()
    return k, 1 / (k * share)


def mask_exactly_k(sequences: Sequences, k_B: Tensor, weight_B: Tensor) -> Batch:
    """Mask k of the targets of each sequence, every set of k equally likely."""
    tokens_BS = sequences.tokens_BS
    draw_BS = torch.rand(tokens_BS.shape, generator=sequences.rng)
    if sequences.target_mask_BS is not None:
        draw_BS[~sequences.target_mask_BS] = 2.0  # ranked last, never masked
    rank_BS = draw_BS.argsort(1).argsort(1)
    return mask_tokens(tokens_BS, rank_BS < k_B[:, None], weight_B, sequences.vocabulary)


def mask_tokens(tokens_BS: Tensor, masked_BS: Tensor, weight_B: Tensor, vocabulary: Vocabulary) -> Batch:
    """The batch with those tokens masked; weights (B,) by sequence, or (B, S) by token."""
    S = tokens_BS.shape[1]
    row_M, token_index_M = masked_BS.nonzero(as_tuple=True)
    return Batch(
        inputs_BP=with_bos(tokens_BS.masked_fill(masked_BS, vocabulary.mask), vocabulary.bos),
        positions_M=row_M * (S + 1) + token_index_M + 1,
        targets_M=tokens_BS[row_M, token_index_M],
        weights_M=(weight_B[row_M] if weight_B.ndim == 1 else weight_B[row_M, token_index_M]).float(),
        row_M=row_M,
        token_index_M=token_index_M,
        attention=BIDIRECTIONAL,
    )


def unmasking_in_any_order(tokens_BS: Tensor, hidden_BS: Tensor, vocabulary: Vocabulary) -> UnmaskingInputs:
    """Inputs whose hidden tokens may be revealed in any order; see `Objective.unmasking_inputs`."""
    B, S = tokens_BS.shape
    return UnmaskingInputs(
        inputs_BP=with_bos(tokens_BS, vocabulary.bos),
        positions_BS=torch.arange(B)[:, None] * (S + 1) + torch.arange(1, S + 1),
        candidates_BS=hidden_BS,
        attention=BIDIRECTIONAL,
    )
