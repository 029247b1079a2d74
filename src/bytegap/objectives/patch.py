"""Patches in random order, each predicted from left to right: neighbours are predicted jointly, not independently.

A sequence is cut into patches of `size` tokens; where the first boundary is, is drawn. By order their lengths may be
drawn in its place, so that in training a stretch of any length up to `size` is predicted last.
For given patches x_1 ... x_J each random order of them gives a likelihood, and the mean over orders and boundaries of
its -ln is a bound on -ln p(x) of their mixture (Jensen).
The tokens of a patch are predicted one after the other, so that the bound can be tight, unlike that of spans whose
tokens are guessed independently (`span_mdm`).

by = "order": one row in the drawn order, causal, every token predicted, at AR's cost.
by = "mask": j of J patches are hidden, and each is predicted from the visible ones alone, at the cost of `mdm`, whose
bound it is over an alphabet of patches: sum over j of the mean nats of a hidden patch when j are hidden.

Patches of one token are `any_order` and `mdm`; a patch of all tokens is AR by order, and by mask AR that reads a MASK
besides.
"""

from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.train_sequences import check_not_longer
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import StudyError
from bytegap.nn.attention_spec import BIDIRECTIONAL, AttentionSpec
from bytegap.nn.patches import draw_patches, draw_patches_of_lengths, hidden_patches, random_order
from bytegap.objectives.any_order import after_visible, in_order
from bytegap.objectives.base import (
    Batch,
    KnownLength,
    Objective,
    Sequences,
    TargetInputs,
    UnmaskingInputs,
    targets_only,
)
from bytegap.objectives.mdm import num_masked_and_weight
from bytegap.sampling.any_order import AnyOrder
from bytegap.sampling.base import Sampler
from bytegap.sampling.patches import HiddenPatches


@dataclass(frozen=True)
class Patch(Objective):
    """Patches in random order, left to right inside."""

    size: int = Field(default=4, ge=1)
    """Tokens in a patch."""
    by: Literal["order", "mask"] = "mask"
    """Whether a row is a drawn order of all patches, or the visible patches predict the hidden ones."""

    lengths: Literal["equal", "drawn"] = "equal"
    """Whether every patch has `size` tokens, or each a number that is drawn, 1 to `size` alike; by order only."""

    @property
    def attention(self) -> AttentionSpec | None:
        """By mask that of a sequence without a hidden patch, bidirectional."""
        return BIDIRECTIONAL if self.by == "mask" else None

    @property
    def can_be_probed(self) -> bool:
        """Yes: a target is the first token of its patch."""
        return True

    @property
    def has_row_per_target(self) -> bool:
        """Unless a patch is one token that is hidden, and patches begin where the target is."""
        return self.by == "order" or self.size > 1

    @property
    def hides_any_set(self) -> bool:
        """Only patches of one token; longer ones are hidden as one."""
        return self.size == 1

    @property
    def can_unmask(self) -> bool:
        """By mask; by order a prediction depends on the order of what is revealed."""
        return self.by == "mask"

    @property
    def predicts_in_order(self) -> bool:
        """By order."""
        return self.by == "order"

    @property
    def known_length(self) -> KnownLength:
        """Patches are drawn from those of all tokens."""
        return "all"

    def check(self, seq_len: int) -> None:
        """StudyError where a patch is longer than a sequence, or lengths are drawn by mask."""
        if self.lengths == "drawn" and self.by == "mask":
            raise StudyError('patch: lengths = "drawn" needs by = "order"')
        check_not_longer("patches", self.size, seq_len)

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        if self.by == "order":
            return sequence_cost.autoregressive(seq_len)
        return sequence_cost.hidden_patches(seq_len, self.size)

    def sampler(self) -> Sampler:
        """Patches in random order, their tokens from left to right."""
        return AnyOrder(self.size, self.lengths) if self.by == "order" else HiddenPatches(self.size)

    def scoring_batch(self, sequences: Sequences) -> Batch:
        """As in training.

        With a target mask, patches are of the targets alone: other tokens come first, or are visible.
        """
        return self.training_batch(sequences)

    def training_batch(self, sequences: Sequences) -> Batch:
        """Every token in an order of patches, or the tokens of k patches, k drawn as `mdm` draws it."""
        return (self._ordered if self.by == "order" else self._masked)(sequences)

    def _ordered(self, sequences: Sequences) -> Batch:
        tokens_BS, targets_BS = sequences.tokens_BS, sequences.target_mask_BS
        B, S = tokens_BS.shape
        key_BS = random_order(self._drawn(B, S, sequences.rng), sequences.rng)
        if targets_BS is not None:
            key_BS = torch.where(targets_BS, key_BS, -1.0)
        order_BS = key_BS.argsort(dim=1, stable=True)
        return targets_only(in_order(tokens_BS, order_BS, sequences.vocabulary), targets_BS)

    def _masked(self, sequences: Sequences) -> Batch:
        tokens_BS, t_B, vocabulary = sequences.tokens_BS, sequences.t_B, sequences.vocabulary
        B, S = tokens_BS.shape
        targets_BS = sequences.target_mask_BS
        if targets_BS is None:
            targets_BS = torch.ones_like(tokens_BS, dtype=torch.bool)
        patch_BS = draw_patches(B, S, self.size, sequences.rng)
        key_BJ = torch.full((B, int(patch_BS.max()) + 1), 2.0)  # patches without a target are ranked last
        key_BS = random_order(patch_BS, sequences.rng)
        row_M, token_index_M = targets_BS.nonzero(as_tuple=True)
        key_BJ[row_M, patch_BS[row_M, token_index_M]] = key_BS[row_M, token_index_M]
        k_B, weight_B = num_masked_and_weight(t_B, (key_BJ < 1).sum(1).to(t_B.dtype))
        hidden_BJ = key_BJ.argsort(1).argsort(1) < k_B[:, None]
        hidden_BS = hidden_BJ.gather(1, patch_BS) & targets_BS
        inputs_BP, attention = hidden_patches(tokens_BS, hidden_BS, patch_BS, bos=vocabulary.bos, mask=vocabulary.mask)
        row_M, token_index_M = hidden_BS.nonzero(as_tuple=True)
        return Batch(
            inputs_BP=inputs_BP,
            positions_M=row_M * (S + 1) + token_index_M + 1,
            targets_M=tokens_BS[row_M, token_index_M],
            weights_M=weight_B[row_M].float(),
            row_M=row_M,
            token_index_M=token_index_M,
            attention=attention,
        )

    def ordered_batch(self, tokens_BS: Tensor, key_BS: Tensor, vocabulary: Vocabulary) -> Batch:
        """Every token predicted once, by rising key."""
        return in_order(tokens_BS, key_BS.argsort(dim=1, stable=True), vocabulary)

    def order_keys(self, B: int, S: int, rng: torch.Generator) -> Tensor:
        """By order those of patches with drawn boundaries; by mask each patch is begun in random order."""
        if self.by == "mask":
            return super().order_keys(B, S, rng)
        return random_order(self._drawn(B, S, rng), rng).double()

    def _drawn(self, B: int, S: int, rng: torch.Generator) -> Tensor:
        """The patch of each token by order, (B, S)."""
        draw = draw_patches_of_lengths if self.lengths == "drawn" else draw_patches
        return draw(B, S, self.size, rng)

    def target_inputs(
        self, tokens_BS: Tensor, hidden_BS: Tensor, targets_BS: Tensor, vocabulary: Vocabulary
    ) -> TargetInputs:
        """Each target as the first token of a patch, after the visible tokens or from the visible ones alone."""
        if not self.has_row_per_target:
            return super().target_inputs(tokens_BS, hidden_BS, targets_BS, vocabulary)
        if self.by == "order":
            return after_visible(tokens_BS, hidden_BS, targets_BS, vocabulary)
        row_M, index_M = targets_BS.nonzero(as_tuple=True)
        from_target_MS = torch.arange(tokens_BS.shape[1]) - index_M[:, None]
        patch_MS = from_target_MS.div(self.size, rounding_mode="floor")
        inputs_MP, attention = hidden_patches(
            tokens_BS[row_M],
            hidden_BS[row_M],
            patch_MS - patch_MS[:, :1],
            bos=vocabulary.bos,
            mask=vocabulary.mask,
        )
        return TargetInputs(inputs_MP, functional.pad(from_target_MS == 0, (1, 0)), attention)

    def unmasking_inputs(self, tokens_BS: Tensor, hidden_BS: Tensor, vocabulary: Vocabulary) -> UnmaskingInputs:
        """Next is the first hidden token of any patch, or of the patch that is revealed in part, if one is.

        Patches begin at the start of the sequence; their revealed tokens come before their hidden ones.
        """
        B, S = tokens_BS.shape
        patch_BS = draw_patches(B, S, self.size, None)
        index_S = torch.arange(S)
        starts_S = index_S % self.size == 0
        hidden_at_end_BS = hidden_BS.gather(1, torch.minimum(patch_BS * self.size + self.size, torch.tensor(S)) - 1)
        inputs_BP, attention = hidden_patches(
            tokens_BS, hidden_at_end_BS, patch_BS, bos=vocabulary.bos, mask=vocabulary.mask
        )
        first_BS = hidden_BS & (starts_S | ~hidden_BS.roll(1, 1))
        begun_BS = first_BS & ~starts_S
        candidates_BS = torch.where(begun_BS.any(1, keepdim=True), begun_BS, first_BS)
        return UnmaskingInputs(
            inputs_BP=inputs_BP,
            positions_BS=torch.arange(B)[:, None] * (S + 1) + torch.arange(1, S + 1),
            candidates_BS=candidates_BS,
            attention=attention,
        )
