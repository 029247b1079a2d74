"""FLOPs from a model's own list of matmuls. Training is three forwards; one multiply-add is two FLOPs.

A forward costs 2 x (inputs x outputs) for each weight matrix and position, plus, per layer, 4 x width for each pair of
positions that attention computes: one product for the scores, one for the mixture. The embedding is a lookup and costs
nothing; norms, softmax and rotations are not counted, as in `torch.utils.flop_counter.FlopCounterMode`, which the
tests hold against these formulas.

Beside these counts stands `6nd`, the field's usual estimate, which knows neither attention maps nor heads.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from bytegap.accounting.rows import Row

TRAINING_FORWARDS = 3  # forward, and the backward's two products of the same size
MULTIPLY_ADD = 2


@dataclass(frozen=True)
class Matmul:
    """A weight matrix, applied at every position: `count` alike."""

    name: str
    inputs: int
    outputs: int
    count: int = 1

    @property
    def flops(self) -> int:
        """Forward FLOPs a position."""
        return MULTIPLY_ADD * self.inputs * self.outputs * self.count


@dataclass(frozen=True)
class Costs:
    """What a model multiplies: its body, its head, its attention maps."""

    body: tuple[Matmul, ...]
    head: Matmul
    attention_layers: int
    attention_width: int
    """Query heads x width of a head: the model's width, unless its heads are wider or narrower. Keys and values that
    several query heads share save weights, not products of the map."""


@dataclass(frozen=True)
class Convention:
    """What is counted. `full, all, spent` is the default: everything a plain implementation multiplies."""

    attention: Literal["full", "attended"] = "full"
    head: Literal["all", "supervised", "none"] = "all"
    passes: Literal["spent", "one"] = "spent"
    """Whether positions that only repeat the text for others to see count."""

    @property
    def name(self) -> str:
        """As written in tables: `attention=full head=all`."""
        return f"attention={self.attention} head={self.head}" + (" passes=one" if self.passes == "one" else "")


DEFAULT = Convention()
SIX_ND = "6nd"
"""The estimate's name among the conventions."""


def conventions() -> list[Convention]:
    """Every way of counting a model's matmuls: attention x head, and the default with one pass."""
    fields = Convention.__annotations__
    spent = [
        Convention(attention, head) for attention in get_args(fields["attention"]) for head in get_args(fields["head"])
    ]
    return [*spent, Convention(passes="one")]


def six_nd(non_embedding_parameters: int, symbols: float) -> float:
    """Training FLOPs by the estimate C = 6 N D (Kaplan et al. 2020, section 2.1): N non-embedding, D in symbols."""
    return TRAINING_FORWARDS * MULTIPLY_ADD * non_embedding_parameters * symbols


def forward_terms(costs: Costs, row: Row, convention: Convention = DEFAULT) -> dict[str, float]:
    """Forward FLOPs of one row by term."""
    positions, pairs = row.positions, row.pairs
    if convention.passes == "one":
        positions, pairs = positions - row.repeated, pairs - row.repeated_pairs
    if convention.attention == "full":
        pairs = positions**2
    asked = {"all": positions, "supervised": row.supervised, "none": 0}[convention.head]
    terms: dict[str, float] = {}
    for matmul in costs.body:
        terms[matmul.name] = terms.get(matmul.name, 0) + matmul.flops * positions
    terms["attention"] = 2 * MULTIPLY_ADD * costs.attention_layers * costs.attention_width * pairs
    terms["head"] = costs.head.flops * asked
    return terms


def training_flops(costs: Costs, row: Row, convention: Convention = DEFAULT) -> float:
    """Training FLOPs of one row: three forwards."""
    return TRAINING_FORWARDS * sum(forward_terms(costs, row, convention).values())
