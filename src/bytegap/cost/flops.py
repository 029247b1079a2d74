"""FLOPs from a model's own list of matmuls; training is three forwards, one multiply-add is two FLOPs.

A forward costs 2 x (inputs x outputs) for each weight matrix and position, plus, per layer, 4 x d_model for each pair
of positions that attention computes: one product for the scores, one for the weighted sum.
The embedding is a lookup and costs nothing.
Norms, softmax and rotations are not counted, as in `torch.utils.flop_counter.FlopCounterMode`; tests check these
formulas against it.

`6nd` is the field's usual estimate, which counts neither attention maps nor the head.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from bytegap.cost.sequence_cost import SequenceCost

TRAINING_FORWARDS = 3  # forward, and the backward's two products of the same size
MULTIPLY_ADD = 2


@dataclass(frozen=True)
class Matmul:
    """A weight matrix that is applied at every position; `count` of that shape."""

    name: str
    inputs: int
    outputs: int
    count: int = 1

    @property
    def flops(self) -> int:
        """Forward FLOPs per position."""
        return MULTIPLY_ADD * self.inputs * self.outputs * self.count


@dataclass(frozen=True)
class Costs:
    """The matmuls of a model: its body, its head, its attention maps."""

    body: tuple[Matmul, ...]
    head: Matmul
    attention_layers: int
    attention_width: int
    """Query heads x width of a head; equal to d_model unless heads are wider or narrower.

    Keys and values that several query heads share save weights, not products of the map.
    """


@dataclass(frozen=True)
class Convention:
    """What is counted; the default, `full, all, spent`, is everything that a plain implementation multiplies."""

    attention: Literal["full", "attended"] = "full"
    head: Literal["all", "supervised", "none"] = "all"
    passes: Literal["spent", "one"] = "spent"
    """Whether positions that only repeat the text for others to attend to are counted."""

    @property
    def name(self) -> str:
        """As written in tables: `attention=full head=all`."""
        return f"attention={self.attention} head={self.head}" + (" passes=one" if self.passes == "one" else "")


DEFAULT = Convention()
SIX_ND = "6nd"
"""Name of the estimate among the conventions."""


def conventions() -> list[Convention]:
    """All conventions: attention x head, and the default with `passes=one`."""
    fields = Convention.__annotations__
    spent = [
        Convention(attention, head) for attention in get_args(fields["attention"]) for head in get_args(fields["head"])
    ]
    return [*spent, Convention(passes="one")]


def six_nd(non_embedding_parameters: int, tokens: float) -> float:
    """Training FLOPs by the estimate C = 6 N D (Kaplan et al. 2020, section 2.1): N non-embedding, D in tokens."""
    return TRAINING_FORWARDS * MULTIPLY_ADD * non_embedding_parameters * tokens


def forward_terms(costs: Costs, sequence: SequenceCost, convention: Convention = DEFAULT) -> dict[str, float]:
    """Forward FLOPs of one sequence by term."""
    positions, pairs = sequence.positions, sequence.attended_pairs
    if convention.passes == "one":
        positions, pairs = positions - sequence.context_copies, pairs - sequence.context_copy_pairs
    if convention.attention == "full":
        pairs = positions**2
    head_positions = {"all": positions, "supervised": sequence.supervised, "none": 0}[convention.head]
    terms: dict[str, float] = {}
    for matmul in costs.body:
        terms[matmul.name] = terms.get(matmul.name, 0) + matmul.flops * positions
    terms["attention"] = 2 * MULTIPLY_ADD * costs.attention_layers * costs.attention_width * pairs
    terms["head"] = costs.head.flops * head_positions
    return terms


def training_flops(costs: Costs, sequence: SequenceCost, convention: Convention = DEFAULT) -> float:
    """Training FLOPs of one sequence: three forwards."""
    return TRAINING_FORWARDS * sum(forward_terms(costs, sequence, convention).values())
