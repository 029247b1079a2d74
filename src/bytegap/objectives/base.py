"""The interface of an objective: the batches that it trains and scores on, and the loss.

B sequences, S tokens a sequence, P positions (BOS and tokens), M supervised positions of the batch, V ids.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.vocabulary import Vocabulary
from bytegap.nn.attention_spec import CAUSAL, AttentionSpec, to_device
from bytegap.sampling.base import Sampler
from bytegap.study.registry import Part, build

KnownLength = Literal["none", "last block", "all"]
"""Nothing, the number of tokens of the last block, or the number of all tokens."""


@dataclass(frozen=True)
class Sequences:
    """Token sequences from which an objective makes a batch."""

    tokens_BS: Tensor
    t_B: Tensor
    """A time in (0, 1] for each sequence, such as its noise level; on a lattice over the batch."""
    rng: torch.Generator
    vocabulary: Vocabulary
    token_starts_BS: Tensor | None = None
    """Where tokens of the objective's conditioning tokenizer begin, if it has one."""
    target_mask_BS: Tensor | None = None
    """In scoring: the tokens to score; all others are given. None: all tokens are scored."""


@dataclass(frozen=True)
class Batch:
    """Inputs of the model and its targets."""

    inputs_BP: Tensor
    positions_M: Tensor
    """Flat positions b * P + p at which logits are computed, sequence after sequence."""
    targets_M: Tensor
    weights_M: Tensor
    """Weight of each target's cross-entropy in the bound."""
    row_M: Tensor
    """The sequence of each target."""
    token_index_M: Tensor
    """Index of each target in its sequence, 0 to S - 1."""
    attention: AttentionSpec

    def select(self, targets: slice | Tensor) -> "Batch":
        """Some of the targets, by index or by a mask (M,); all inputs."""
        chosen = {name: tensor[targets] for name, tensor in vars(self).items() if name.endswith("_M")}
        return replace(self, **chosen)

    def rows(self, start: int, stop: int) -> "Batch":
        """The sequences from `start` to `stop`, with their targets."""
        own_M = (self.row_M >= start) & (self.row_M < stop)
        targets = {name: tensor[own_M] for name, tensor in vars(self).items() if name.endswith("_M")}
        targets["positions_M"] = targets["positions_M"] - start * self.inputs_BP.shape[1]
        targets["row_M"] = targets["row_M"] - start
        return Batch(inputs_BP=self.inputs_BP[start:stop], attention=self.attention.rows(start, stop), **targets)

    def to(self, device: str) -> "Batch":
        """The same batch on another device."""
        moved = {name: to_device(part, device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, attention=self.attention.to(device), **moved)


@dataclass(frozen=True)
class UnmaskingInputs:
    """Inputs with which a model predicts the hidden tokens of partly revealed sequences."""

    inputs_BP: Tensor
    positions_BS: Tensor
    """Flat position b * P + p whose logits predict each token."""
    candidates_BS: Tensor
    """The hidden tokens, of which one is revealed next: bool, at least one a sequence."""
    attention: AttentionSpec


@dataclass(frozen=True)
class TargetInputs:
    """Inputs with which a model predicts chosen tokens from those that are not hidden."""

    inputs_BP: Tensor
    """A row for each sequence, or for each target."""
    targets_BP: Tensor
    """The positions whose logits predict the targets, bool; row by row in the order of the targets."""
    attention: AttentionSpec


@dataclass(frozen=True)
class LossSums:
    """Sums, never means: the caller chooses what to divide by."""

    weighted_nats_B: Tensor
    """The bound of each sequence, nats."""
    supervised: int
    """M, supervised positions."""


class Objective(Part, ABC):
    """How a model is trained and scored; options of the study file are fields of the subclass."""

    kind: ClassVar[str] = "objective"

    is_exact: ClassVar[bool] = False
    """Whether one pass of scoring gives the likelihood itself; otherwise each pass estimates a bound on it."""
    trains_on_what_it_scores: ClassVar[bool] = True
    """Whether the training loss has its optimum where the nats that are scored have theirs."""
    bytes_only: ClassVar[bool] = False
    """Whether it needs bytes as tokens."""

    @property
    def attention(self) -> AttentionSpec | None:
        """The attention of rows that are BOS and then the tokens in text order; None if the rows differ from that."""
        return None

    @property
    def can_be_probed(self) -> bool:
        """Whether `target_inputs` is defined."""
        return self.attention is not None

    @property
    def has_row_per_target(self) -> bool:
        """Whether `target_inputs` has a row for each target, which is not that of a plain sequence."""
        return False

    @property
    def hides_any_set(self) -> bool:
        """Whether training hides any tokens of a sequence alike; otherwise some patterns of hidden tokens are new."""
        return self.attention is not None and not self.attention.causal

    @property
    def reads_left_to_right(self) -> bool:
        """Whether its models are plain causal language models: each token given BOS and all before it, exactly.

        Compression and causal export need this; causal attention alone does not say in which order a text is read.
        """
        return self.is_exact and self.attention == CAUSAL and self.sampler().left_to_right

    @property
    def can_unmask(self) -> bool:
        """Whether its models predict hidden tokens from any revealed ones.

        Then `unmasking_inputs` is defined, and an unmasking rule gives them a likelihood of its own
        (`lm/unmasking_rules.py`).
        """
        return False

    @property
    def predicts_in_order(self) -> bool:
        """Whether a row is a text in some order, each token given those before it.

        Then `ordered_batch` is defined, and every order that is chosen without looking at the text has an exact
        likelihood in one forward.
        """
        return False

    @property
    def known_length(self) -> KnownLength:
        """What a model is given of the number of tokens of a text before it predicts one of them."""
        return "none"

    @property
    def can_be_tight(self) -> bool:
        """Whether the reported BPB can reach the entropy of the text; only then may frontiers share its limit."""
        return self.trains_on_what_it_scores

    @property
    def conditioning_tokenizer(self) -> str | None:
        """The tokenizer whose token starts training batches need (`Sequences.token_starts_BS`); None: none."""
        return None

    def check(self, seq_len: int) -> None:
        """StudyError where sequences of `seq_len` tokens do not suit the objective."""

    @abstractmethod
    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""

    @abstractmethod
    def training_batch(self, sequences: Sequences) -> Batch:
        """A batch to train on."""

    @abstractmethod
    def scoring_batch(self, sequences: Sequences) -> Batch:
        """A batch whose loss is an unbiased estimate of the likelihood, or of its bound."""

    @abstractmethod
    def sampler(self) -> Sampler:
        """How text is generated from its models."""

    def target_inputs(
        self, tokens_BS: Tensor, hidden_BS: Tensor, targets_BS: Tensor, vocabulary: Vocabulary
    ) -> TargetInputs:
        """Inputs that predict each target, which is hidden or ahead, from tokens that are not hidden.

        From those on both sides, or, where attention is causal, from those before it.
        Defined where `can_be_probed`; here for plain sequences, whose hidden tokens are MASK.
        """
        assert self.attention is not None, "an objective without plain sequences has target_inputs of its own"
        visible_BS = tokens_BS.masked_fill(hidden_BS, vocabulary.mask)
        if self.attention.causal:
            return TargetInputs(with_bos(visible_BS[:, :-1], vocabulary.bos), targets_BS, self.attention)
        targets_BP = functional.pad(targets_BS, (1, 0))
        return TargetInputs(with_bos(visible_BS, vocabulary.bos), targets_BP, self.attention)

    def unmasking_inputs(self, tokens_BS: Tensor, hidden_BS: Tensor, vocabulary: Vocabulary) -> UnmaskingInputs:
        """Inputs that predict the hidden tokens, which are MASK in `tokens_BS`, from the revealed ones.

        Defined where `can_unmask`; every sequence has a hidden token.
        """
        raise NotImplementedError

    def ordered_batch(self, tokens_BS: Tensor, key_BS: Tensor, vocabulary: Vocabulary) -> Batch:
        """Every token predicted once, by rising key. Defined where `predicts_in_order`."""
        raise NotImplementedError

    def order_keys(self, B: int, S: int, rng: torch.Generator) -> Tensor:
        """Random keys of tokens, (B, S), float64: whichever candidate has the smallest is revealed next.

        These are uniform, which makes every candidate equally likely.
        """
        return torch.rand(B, S, generator=rng, dtype=torch.float64)

    def loss(self, logits_MV: Tensor, batch: Batch) -> LossSums:
        """Cross-entropy at the supervised positions, weighted into the bound of each sequence."""
        nats_M = functional.cross_entropy(logits_MV, batch.targets_M, reduction="none")
        rows = batch.inputs_BP.shape[0]
        weighted_B = torch.zeros(rows, dtype=nats_M.dtype, device=nats_M.device)
        weighted_B = weighted_B.index_add(0, batch.row_M, nats_M * batch.weights_M)
        return LossSums(weighted_B, len(nats_M))


def objective(name: str, options: Mapping[str, object] | None = None) -> Objective:
    """The objective called `name`; StudyError where there is none or an option is wrong."""
    return build(Objective, name, options or {})


def targets_only(batch: Batch, target_mask_BS: Tensor | None) -> Batch:
    """The batch without targets outside the mask; the batch itself where there is no mask."""
    return batch if target_mask_BS is None else batch.select(target_mask_BS[batch.row_M, batch.token_index_M])


def with_bos(tokens_BS: Tensor, bos: int) -> Tensor:
    """BOS before every sequence, (B, S + 1)."""
    return functional.pad(tokens_BS, (1, 0), value=bos)
