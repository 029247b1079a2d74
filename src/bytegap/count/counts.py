"""The counts of one model under one objective, as printed and as JSON: nothing but `accounting` put side by side."""

from bytegap.accounting import flops
from bytegap.accounting.flops import Costs
from bytegap.accounting.params import Parameters
from bytegap.accounting.rows import Row
from bytegap.records import Part


class Groups(Part):
    """Parameters by group."""

    embedding: int
    head: int
    non_embedding: int
    total: int


class Flops(Part):
    """FLOPs under one convention, the symbols of a row sharing its cost; BOS is in it."""

    convention: str
    forward_terms_flops_per_symbol: dict[str, float]
    forward_flops_per_symbol: float
    training_flops_per_symbol: float
    training_flops_per_row: float


class Count(Part):
    """One model under one objective."""

    model: str
    objective: str
    row_symbols: int
    row_positions: int
    supervised_per_row: float
    parameters: Groups
    flops: list[Flops]
    """Every convention, the default first and `6nd` last."""


class Counts(Part):
    """What `bytegap count --json` prints."""

    schema_version: int = 1
    counts: list[Count]


def count(model: str, objective: str, parameters: Parameters, costs: Costs, row: Row) -> Count:
    """Everything about one model under one objective."""
    found = [_matmuls(costs, row, convention) for convention in flops.conventions()]
    groups = vars(parameters) | {"total": parameters.total}
    return Count(
        model=model,
        objective=objective,
        row_symbols=row.symbols,
        row_positions=row.positions,
        supervised_per_row=row.supervised,
        parameters=Groups(**groups),
        flops=[*found, _estimate(parameters, row)],
    )


def _matmuls(costs: Costs, row: Row, convention: flops.Convention) -> Flops:
    terms = flops.forward_terms(costs, row, convention)
    training = flops.training_flops(costs, row, convention)
    return _flops(convention.name, {name: value / row.symbols for name, value in terms.items()}, training, row)


def _estimate(parameters: Parameters, row: Row) -> Flops:
    training = flops.six_nd(parameters.non_embedding, row.symbols)
    forward = training / flops.TRAINING_FORWARDS / row.symbols
    return _flops(flops.SIX_ND, {"non-embedding parameters": forward}, training, row)


def _flops(convention: str, terms: dict[str, float], training: float, row: Row) -> Flops:
    return Flops(
        convention=convention,
        forward_terms_flops_per_symbol=terms,
        forward_flops_per_symbol=sum(terms.values()),
        training_flops_per_symbol=training / row.symbols,
        training_flops_per_row=training,
    )
