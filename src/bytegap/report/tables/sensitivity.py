"""Tables of fit.json with the headlines under other FLOPs conventions, edges, gates, and by repeat of the study."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.report.tables.fit import IDENTITY, VALUE
from bytegap.schema.base import Quantity
from bytegap.schema.fit import ConventionResult, EdgeResult, Estimand, GateResult, Refit, RepeatResult, RepeatSpread

R = TypeVar("R", bound=Refit)


class _Row(NamedTuple, Generic[R]):
    """An estimand under one choice."""

    result: R
    estimand: Estimand
    """Without a value where the choice yields no estimate."""
    status: str
    """Its label, or `_UNKNOWN`."""


_UNKNOWN = "not identified"
_READ = (
    " Rows are sorted by estimand, the fit's own {choice} first: a value outside that row's 95 % CI depends "
    "on the {choice} by more than the fit's uncertainty. Only the first {choice} has the fit's full number of "
    "bootstrap samples. Not identified: the {choice} yields neither an estimate nor a bound."
)
_CONVENTIONS = About(
    name="conventions",
    title="Headlines by FLOPs convention",
    caption=(
        "The headline estimands and parities, at the same losses, with the training compute of the same runs counted "
        "under each FLOPs convention. Runs of one cell that then differ in compute are moved along the frontier's "
        "slope to a common compute, by at most the factor given." + _READ.format(choice="convention")
    ),
    source="../fit.json",
)
_EDGES = About(
    name="edges",
    title="Headlines by edge of the scoring windows",
    caption=(
        "The headline estimands and parities, at the same losses, from the same runs scored on the same text in "
        "windows that end elsewhere: at token boundaries of every tokenizer (tokens), before white space (words), or "
        "at any code point (any). A window that ends within a token costs the subword arms bits."
        + _READ.format(choice="edge")
    ),
    source="../fit.json",
)
_GATES = About(
    name="gates",
    title="Headlines by gate on cells",
    caption=(
        "The headline estimands and parities, at the same losses, with another gate on cells: a cell is used in "
        "frontier fits only where its minimum is at least this far below the unigram BPB of its tokenizer. A higher "
        "gate leaves out the smallest budgets, so an estimate may become a bound or an extrapolation."
        + _READ.format(choice="gate")
    ),
    source="../fit.json",
)
_REPEATS = About(
    name="repeats",
    title="Headlines by repeat of the study",
    caption=(
        "The headline estimands and parities, at the same losses, from the runs of each repeat alone. Rows are "
        "sorted by estimand. Repeats differ in their seeds only, so about 95 % of their intervals should "
        "contain the value of all repeats together, which the table of estimands has. Each row is of fewer runs than "
        "the fit. Not identified: the repeat alone yields neither an estimate nor a bound."
    ),
    source="../fit.json",
)
_SPREAD = About(
    name="repeat_spread",
    title="Spread of headlines over repeats",
    caption=(
        "Each estimated headline from all repeats together, with 95 % CI, and its values from the repeats that yield "
        "an estimate by themselves. The SD is that of ln k or of I over these repeats. Within: how many of the values "
        "lie in the interval that the conclusions state, covering all forms; empty for fewer than two. The spread is a "
        "check of the intervals and not part of them; repeats share text, tokenizers and held-out documents."
    ),
    source="../fit.json",
)


def conventions(inputs: Inputs) -> Table | None:
    """One row per headline and convention; None where the fit has only its own convention."""
    choice = Column[ConventionResult]("convention", "convention", lambda result: result.convention)
    others: tuple[Column[ConventionResult], ...] = (
        Column("largest_adjustment", "largest change of C", lambda result: result.largest_adjustment, fmt.ratio),
        Column("excluded_arms", "arms left out", lambda result: ", ".join(result.excluded_arms)),
    )
    return _table(_CONVENTIONS, inputs, inputs.fit.by_convention, choice, others)


def edges(inputs: Inputs) -> Table | None:
    """One row per headline and edge of the scoring windows; None where runs were scored under one edge."""
    return _table(_EDGES, inputs, inputs.fit.by_edge, Column[EdgeResult]("edge", "edge", lambda result: result.edge))


def gates(inputs: Inputs) -> Table | None:
    """One row per headline and gate on cells; None where there is no headline."""
    choice = Column[GateResult]("gate_bpb", "gate, BPB", lambda result: result.gate_bpb)
    return _table(_GATES, inputs, inputs.fit.by_gate, choice)


def repeats(inputs: Inputs) -> Table | None:
    """One row per headline and repeat; None where the study has one repeat."""
    choice = Column[RepeatResult]("repeat", "repeat", lambda result: result.repeat)
    others = (Column[RepeatResult]("runs", "runs", lambda result: result.runs, str),)
    return _table(_REPEATS, inputs, inputs.fit.by_repeat, choice, others)


def spread(inputs: Inputs) -> Table | None:
    """One row per estimated headline; None where the study has one repeat."""
    found = inputs.fit.repeat_spread
    together = {(item.name, item.arms): item.quantity for item in inputs.fit.estimands if item.headline}
    columns: tuple[Column[RepeatSpread] | Interval[RepeatSpread], ...] = (
        Column("name", "estimand", lambda row: row.name),
        Column("objective", "objective", lambda row: row.objective),
        Column("arms", "arms", lambda row: " / ".join(row.arms)),
        Column("at_bpb", "at BPB", lambda row: row.at_bpb, fmt.bpb),
        Interval(
            "value",
            "all repeats",
            lambda row: together.get((row.name, row.arms)),
            format_of=lambda row: fmt.ESTIMAND_FORMATTERS[row.name],
        ),
        Column(
            "values",
            "by repeat",
            lambda row: " ".join(map(repr, row.values)),
            text=lambda row: ", ".join(map(fmt.ESTIMAND_FORMATTERS[row.name], row.values)),
        ),
        Column("sd_ln", "SD, natural log", lambda row: row.sd_ln, fmt.four_digits),
        Column(
            "within",
            "within",
            lambda row: row.within,
            text=lambda row: f"{row.within} of {row.repeats}" if row.repeats > 1 else "",
        ),
        Column("repeats", "repeats", lambda row: row.repeats, str),
        Column("form", "form of frontier", lambda row: row.form),
    )
    return Table.of(_SPREAD, found, columns) if found else None


def _table(
    about: About, inputs: Inputs, results: Sequence[R], choice: Column[R], others: Sequence[Column[R]] = ()
) -> Table | None:
    """One row per estimand and choice; None where there is one choice or no estimand."""
    rows = _rows(results, [item for item in inputs.fit.estimands if item.headline])
    if len(results) < 2 or not rows:
        return None
    columns: tuple[Column[_Row[R]] | Interval[_Row[R]], ...] = (
        choice.applied_to(_result),
        *(column.applied_to(lambda row: row.estimand) for column in (*IDENTITY, *VALUE)),
        Column("label", "status", lambda row: row.status),
        Column("cells_in_frontier", "cells in frontiers", lambda row: row.result.cells_in_frontier, str),
        Column("bootstraps", "bootstrap samples", lambda row: row.result.bootstraps, str),
        *(column.applied_to(_result) for column in others),
    )
    return Table.of(about, rows, columns)


def _rows(results: Sequence[R], headlines: Sequence[Estimand]) -> list[_Row[R]]:
    """Every headline of the fit and every other estimand of a choice, under each choice in turn."""
    listed: dict[tuple[str, ...], Estimand] = {}
    for item in (*(item for result in results for item in result.estimands), *headlines):
        listed.setdefault(_compared(item), item)
    # Where a choice yields no estimate, the row has the loss and the form of the fit's own headline.
    listed |= {_compared(item): item for item in headlines}
    rows: list[_Row[R]] = []
    for compared, item in listed.items():
        unknown = item.model_copy(update={"quantity": Quantity(value=None), "bound": ""})
        for result in results:
            found = [_Row(result, own, own.label) for own in result.estimands if _compared(own) == compared]
            rows += found or [_Row(result, unknown, _UNKNOWN)]
    return rows


def _compared(item: Estimand) -> tuple[str, ...]:
    """Name and arms: the same under every choice, unlike the loss and the form of a new headline."""
    return (item.name, *item.arms)


def _result(row: _Row[R]) -> R:
    return row.result
