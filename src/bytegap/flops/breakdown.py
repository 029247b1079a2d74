"""Parameters and FLOPs of one model under one objective, as printed and as JSON. The formulas are in `cost`."""

from bytegap.cost import flops
from bytegap.cost.flops import Convention, Costs
from bytegap.cost.params import Parameters
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.schema.base import FrozenDict, FrozenModel


class ParameterGroups(FrozenModel):
    """Parameters by group."""

    embedding: int
    head: int
    non_embedding: int
    total: int


class ConventionFlops(FrozenModel):
    """FLOPs under one convention; the cost of BOS is shared by the tokens of a sequence."""

    convention: str
    forward_terms_flops_per_token: FrozenDict[str, float]
    forward_flops_per_token: float
    training_flops_per_token: float
    training_flops_per_sequence: float


class Breakdown(FrozenModel):
    """One model under one objective."""

    model: str
    objective: str
    seq_len: int
    """S, tokens of a training sequence."""
    positions_per_sequence: int
    """Positions that go through the model's body."""
    supervised_per_sequence: float
    """Positions that the loss is taken at, on average."""
    parameters: ParameterGroups
    flops: tuple[ConventionFlops, ...]
    """Every convention, the default first and `6nd` last."""

    def under(self, convention: str) -> ConventionFlops:
        """FLOPs under the convention of that name."""
        (found,) = [each for each in self.flops if each.convention == convention]
        return found


class Breakdowns(FrozenModel):
    """What `bytegap flops --json` prints."""

    schema_version: int = 2
    breakdowns: tuple[Breakdown, ...]


def breakdown(model: str, objective: str, parameters: Parameters, costs: Costs, sequence: SequenceCost) -> Breakdown:
    """Everything about the model called `model` under one objective."""
    groups = ParameterGroups(
        embedding=parameters.embedding,
        head=parameters.head,
        non_embedding=parameters.non_embedding,
        total=parameters.total,
    )
    by_terms = [_by_terms(costs, sequence, convention) for convention in flops.conventions()]
    return Breakdown(
        model=model,
        objective=objective,
        seq_len=sequence.seq_len,
        positions_per_sequence=sequence.positions,
        supervised_per_sequence=sequence.supervised,
        parameters=groups,
        flops=(*by_terms, _six_nd(parameters, sequence)),
    )


def _by_terms(costs: Costs, sequence: SequenceCost, convention: Convention) -> ConventionFlops:
    terms = flops.forward_terms(costs, sequence, convention)
    per_token = {name: value / sequence.seq_len for name, value in terms.items()}
    return _convention(convention.name, per_token, flops.training_flops(costs, sequence, convention), sequence)


def _six_nd(parameters: Parameters, sequence: SequenceCost) -> ConventionFlops:
    training = flops.six_nd(parameters.non_embedding, sequence.seq_len)
    forward = training / flops.TRAINING_FORWARDS / sequence.seq_len
    return _convention(flops.SIX_ND, {"non-embedding parameters": forward}, training, sequence)


def _convention(name: str, terms: dict[str, float], training_flops: float, sequence: SequenceCost) -> ConventionFlops:
    return ConventionFlops(
        convention=name,
        forward_terms_flops_per_token=FrozenDict(terms),
        forward_flops_per_token=sum(terms.values()),
        training_flops_per_token=training_flops / sequence.seq_len,
        training_flops_per_sequence=training_flops,
    )
