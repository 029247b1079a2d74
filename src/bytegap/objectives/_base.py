"""What every objective shares: how a batch is asked, and how an answer is scored.

B rows, S symbols a row, P positions a row (BOS and symbols), M supervised positions of the batch, V ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.sight import Sight, laid


@dataclass(frozen=True)
class Vocabulary:
    """The ids beyond the V symbols of a tokenizer."""

    symbols: int

    @property
    def eos(self) -> int:
        """Ends a document; scored, zero bytes."""
        return self.symbols

    @property
    def bos(self) -> int:
        """Starts every row and window; given, never scored."""
        return self.symbols + 1

    @property
    def mask(self) -> int:
        """Stands where a symbol is hidden: the absorbing state."""
        return self.symbols + 2

    @property
    def ids(self) -> int:
        """Rows of the embedding and of the head, for every arm alike."""
        return self.symbols + 3


@dataclass(frozen=True)
class Question:
    """What the model sees and what it is asked."""

    inputs_BP: Tensor
    positions_M: Tensor
    """Flat positions b * P + p whose logits are wanted, row after row."""
    targets_M: Tensor
    weights_M: Tensor
    """Each answer's weight in the bound."""
    rows_M: Tensor
    """The row each answer belongs to."""
    places_M: Tensor
    """The symbol of that row, 0 to S - 1, that it is about."""
    sight: Sight
    """What the positions see, and where they stand."""

    def part(self, answers: slice | Tensor) -> "Question":
        """Some of the answers, by where they stand or by a mask (M,); all of the inputs."""
        chosen = {name: tensor[answers] for name, tensor in vars(self).items() if name.endswith("_M")}
        return Question(inputs_BP=self.inputs_BP, sight=self.sight, **chosen)

    def rows(self, start: int, stop: int) -> "Question":
        """Some of the rows, with their answers."""
        own_M = (self.rows_M >= start) & (self.rows_M < stop)
        answers = {name: tensor[own_M] for name, tensor in vars(self).items() if name.endswith("_M")}
        answers["positions_M"] = answers["positions_M"] - start * self.inputs_BP.shape[1]
        answers["rows_M"] = answers["rows_M"] - start
        return Question(inputs_BP=self.inputs_BP[start:stop], sight=self.sight.rows(start, stop), **answers)

    def to(self, device: str) -> "Question":
        """The same question on another device."""
        moved = {name: laid(part, device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, sight=self.sight.to(device), **moved)


@dataclass(frozen=True)
class Answer:
    """Sums and counts, never means: who normalises says by what."""

    weighted_nats_B: Tensor
    """The bound, a row."""
    supervised: int


def told(module: ModuleType, options: Mapping[str, Any]) -> str | None:
    """The symbol set whose symbols' starts the objective is to be told, if it has an option for that."""
    return options.get(getattr(module, "TOLD", ""))


def answer(logits_MV: Tensor, question: Question) -> Answer:
    """Cross-entropy at the supervised positions, weighted into each row's bound."""
    nats_M = functional.cross_entropy(logits_MV, question.targets_M, reduction="none")
    rows = question.inputs_BP.shape[0]
    weighted_B = torch.zeros(rows, dtype=nats_M.dtype, device=nats_M.device)
    weighted_B = weighted_B.index_add(0, question.rows_M, nats_M * question.weights_M)
    return Answer(weighted_B, len(nats_M))


def asked_only(question: Question, only_BS: Tensor | None) -> Question:
    """The answers about those symbols; all of them where `only_BS` is None."""
    return question if only_BS is None else question.part(only_BS[question.rows_M, question.places_M])


def with_bos(symbols_BS: Tensor, bos: int) -> Tensor:
    """BOS before every row, (B, S + 1)."""
    return functional.pad(symbols_BS, (1, 0), value=bos)
