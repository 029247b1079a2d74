"""Autoregression in random order: each token given those before it in a drawn order.

Keys are rotated by the position of the token that is read, queries by that of the token which is predicted, so that
attention depends on the distance from what is read to what is asked.
A trial of an embedding of the target's position in its place (sigma-GPT: Pannatier et al. 2024, arXiv 2404.09562)
stayed near the unigram (docs/log.md).
The likelihood under one order is exact; a run is reported by the mean over orders, or, with `scored = "left"`, by the
order of the text alone.
"""

from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.vocabulary import Vocabulary
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.objectives.base import Batch, KnownLength, Objective, Sequences, TargetInputs, targets_only, with_bos
from bytegap.sampling.any_order import AnyOrder as AnyOrderSampler


@dataclass(frozen=True)
class AnyOrder(Objective):
    """Any-order autoregression."""

    scored: Literal["any", "left"] = "any"
    """The orders that scoring averages over; training always draws them at random."""

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        return sequence_cost.autoregressive(seq_len)

    @property
    def can_be_probed(self) -> bool:
        """Yes: any token may follow those that are visible."""
        return True

    @property
    def has_row_per_target(self) -> bool:
        """A row ends with its target."""
        return True

    @property
    def hides_any_set(self) -> bool:
        """In a random order any tokens are still ahead."""
        return True

    @property
    def predicts_in_order(self) -> bool:
        """In any."""
        return True

    @property
    def known_length(self) -> KnownLength:
        """Orders are drawn from those of all tokens."""
        return "all"

    def sampler(self) -> AnyOrderSampler:
        """One token a step, in random order."""
        return AnyOrderSampler()

    def target_inputs(
        self, tokens_BS: Tensor, hidden_BS: Tensor, targets_BS: Tensor, vocabulary: Vocabulary
    ) -> TargetInputs:
        """Each target after the visible tokens."""
        return after_visible(tokens_BS, hidden_BS, targets_BS, vocabulary)

    def ordered_batch(self, tokens_BS: Tensor, key_BS: Tensor, vocabulary: Vocabulary) -> Batch:
        """Every token predicted once, by rising key."""
        return in_order(tokens_BS, key_BS.argsort(dim=1, stable=True), vocabulary)

    def training_batch(self, sequences: Sequences) -> Batch:
        """Every token, in a random order of its own for each sequence."""
        tokens_BS = sequences.tokens_BS
        order_BS = torch.rand(tokens_BS.shape, generator=sequences.rng).argsort(1)
        return in_order(tokens_BS, order_BS, sequences.vocabulary)

    def scoring_batch(self, sequences: Sequences) -> Batch:
        """Every token, in random order or from left to right.

        With a target mask, all other tokens come first, in the order of the text.
        """
        tokens_BS, targets_BS = sequences.tokens_BS, sequences.target_mask_BS
        S = tokens_BS.shape[1]
        left_BS = torch.arange(S).expand_as(tokens_BS) / S
        key_BS = left_BS if self.scored == "left" else torch.rand(tokens_BS.shape, generator=sequences.rng)
        if targets_BS is not None:
            key_BS = torch.where(targets_BS, key_BS + 1, left_BS)
        return targets_only(in_order(tokens_BS, key_BS.argsort(1), sequences.vocabulary), targets_BS)


def after_visible(tokens_BS: Tensor, hidden_BS: Tensor, targets_BS: Tensor, vocabulary: Vocabulary) -> TargetInputs:
    """A row for each target: the visible tokens in the order of the text, then the target, then what else is hidden."""
    row_M, index_M = targets_BS.nonzero(as_tuple=True)
    index_S = torch.arange(tokens_BS.shape[1])
    others_MS = hidden_BS[row_M] & (index_S != index_M[:, None])
    key_MS = index_S + len(index_S) * (hidden_BS[row_M].long() + others_MS)
    batch = in_order(tokens_BS[row_M], key_MS.argsort(1), vocabulary)
    return TargetInputs(batch.inputs_BP, index_S == (~hidden_BS).sum(1)[row_M][:, None], batch.attention)


def in_order(tokens_BS: Tensor, order_BS: Tensor, vocabulary: Vocabulary) -> Batch:
    """Every token predicted in the order that `order_BS` gives: index of the first target, of the second, and so on."""
    B, S = tokens_BS.shape
    ordered_BS = tokens_BS.gather(1, order_BS)
    all_M = torch.arange(B * S)
    position_ids_BS = order_BS + 1
    return Batch(
        inputs_BP=with_bos(ordered_BS[:, :-1], vocabulary.bos),
        positions_M=all_M,
        targets_M=ordered_BS.flatten(),
        weights_M=torch.ones(B * S),
        row_M=all_M // S,
        token_index_M=order_BS.flatten(),
        attention=AttentionSpec(
            causal=True, position_ids=with_bos(position_ids_BS[:, :-1], 0), query_position_ids=position_ids_BS
        ),
    )
