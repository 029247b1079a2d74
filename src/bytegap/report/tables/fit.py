"""Tables of fit.json: IsoFLOP cells, estimands, frontiers, and the headlines under every FLOPs convention."""

from typing import NamedTuple

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.schema.fit import Cell, ConventionResult, Estimand, Frontier

_FIT = "../fit.json"
_PURE_SHIFT = (
    " At equal compute a positive interaction may only mean that one objective needs a constant multiple of the "
    "other's compute: the last columns give the interaction that such a shift alone would produce."
)


class _Converted(NamedTuple):
    """An estimand under a convention."""

    result: ConventionResult
    estimand: Estimand


def _formatter(item: Estimand) -> fmt.Formatter:
    return fmt.ESTIMAND_FORMATTERS[item.name]


_IDENTITY: tuple[Column[Estimand] | Interval[Estimand], ...] = (
    Column("name", "estimand", lambda item: item.name),
    Column("objective", "objective", lambda item: item.objective),
    Column("arms", "arms", lambda item: " / ".join(item.arms)),
    Column("form", "form of frontier", lambda item: item.form),
    Column("at_bpb", "at BPB", lambda item: item.at_bpb, fmt.bpb),
)
_AT_PARAMETERS = Column[Estimand]("at_parameters", "at N", lambda item: item.at_parameters, fmt.count)
_AT_FLOPS = Column[Estimand]("at_flops", "at FLOPs", lambda item: item.at_flops, fmt.flops)
_RESULT: tuple[Column[Estimand] | Interval[Estimand], ...] = (
    Column("bound", "bound", lambda item: item.bound),
    Interval("value", "value", lambda item: item.quantity, format_of=_formatter),
    Column("label", "status", lambda item: item.label),
)
_HEADLINE = Column[Estimand]("headline", "headline", lambda item: item.headline)
_SHIFT = Interval[Estimand]("pure_shift", "under a pure shift", lambda item: item.pure_shift, format_of=_formatter)

_FRONTIERS: tuple[Column[Frontier] | Interval[Frontier], ...] = (
    Column("arm", "arm", lambda item: item.arm),
    Column("form", "form", lambda item: item.form),
    Interval("irreducible_loss_bpb", "irreducible loss E, BPB", lambda item: item.irreducible_loss_bpb),
    Interval("amplitude", "amplitude A", lambda item: item.amplitude),
    Interval("exponent", "exponent g", lambda item: item.exponent),
    Column("flops_observed_low", "observed from, FLOPs", lambda item: item.flops_observed[0], fmt.flops),
    Column("flops_observed_high", "to, FLOPs", lambda item: item.flops_observed[1], fmt.flops),
)


def cells(inputs: Inputs) -> Table:
    """One row per cell: the compute-optimal size and loss of an arm at a budget."""
    unigram_bpb = {baseline.tokenizer: baseline.unigram_bpb for baseline in inputs.fit.ngram_baselines}
    about = About(
        name="cells",
        title="IsoFLOP cells",
        caption=(
            "Compute-optimal size and loss of each arm at each budget, with 95 % CI, and the unigram BPB of the arm's "
            "tokenizer."
        ),
        source=_FIT,
    )
    columns: tuple[Column[Cell] | Interval[Cell], ...] = (
        Column("arm", "arm", lambda cell: cell.arm),
        Column("budget_flops", "budget, FLOPs", lambda cell: cell.budget_flops, fmt.flops),
        Interval("optimum_parameters", "optimal N", lambda cell: cell.optimum_parameters, fmt.count),
        Column("optimum_tokens", "optimal D, tokens", lambda cell: cell.optimum_tokens.value, fmt.count),
        Interval("optimum_bpb", "BPB", lambda cell: cell.optimum_bpb, fmt.bpb),
        Column("unigram_bpb", "unigram BPB", lambda c: unigram_bpb.get(inputs.traits(c.arm).tokenizer), fmt.bpb),
        Column("bracketed", "bracketed", lambda cell: cell.bracketed),
        Column("learns_context", "learns context", lambda cell: cell.learns_context),
        Column("in_frontier", "in frontier", lambda cell: cell.in_frontier),
        Column("note", "note", lambda cell: cell.note),
    )
    return Table.of(about, inputs.cells, columns)


def estimands(inputs: Inputs) -> Table:
    """One row per estimand; with what a pure shift in compute predicts, if the fit states it for any."""
    has_shift = any(item.pure_shift for item in inputs.fit.estimands)
    about = About(
        name="estimands",
        title="Estimands",
        caption=(
            "Every estimand with its 95 % CI. Estimated: every frontier used was observed there. Censored: only a "
            "bound is known. Extrapolated: beyond the observed budgets, never headlined."
            + (_PURE_SHIFT if has_shift else "")
        ),
        source=_FIT,
    )
    columns = (*_IDENTITY, _AT_FLOPS, _AT_PARAMETERS, *_RESULT, _HEADLINE, *((_SHIFT,) if has_shift else ()))
    return Table.of(about, inputs.fit.estimands, columns)


def frontiers(inputs: Inputs) -> Table:
    """One row per fitted frontier: its form and its parameters."""
    about = About(
        name="frontiers",
        title="Frontiers",
        caption=f"Parameters of {fmt.FRONTIER_LAW} of each arm in each form, with 95 % CI.",
        source=_FIT,
    )
    return Table.of(about, inputs.fit.frontiers, _FRONTIERS)


def conventions(inputs: Inputs) -> Table | None:
    """One row per convention and headline; None where the fit has only its own convention."""
    results = inputs.fit.by_convention
    if len(results) < 2:
        return None
    about = About(
        name="conventions",
        title="Headlines by FLOPs convention",
        caption=(
            "The headline estimands at the same loss, with the training compute of the same runs counted under each "
            "FLOPs convention. Runs of one cell that then differ in compute are moved along the frontier's slope to a "
            "common compute, by at most the factor given. Only the first convention has the fit's full number of "
            "bootstrap samples."
        ),
        source=_FIT,
    )
    columns: tuple[Column[_Converted] | Interval[_Converted], ...] = (
        Column("convention", "convention", lambda row: row.result.convention),
        *(column.applied_to(lambda row: row.estimand) for column in (*_IDENTITY, *_RESULT)),
        Column("cells_in_frontier", "cells in frontiers", lambda row: row.result.cells_in_frontier, str),
        Column("largest_adjustment", "largest change of C", lambda row: row.result.largest_adjustment, fmt.ratio),
        Column("bootstraps", "bootstrap samples", lambda row: row.result.bootstraps, str),
        Column("excluded_arms", "arms left out", lambda row: ", ".join(row.result.excluded_arms)),
    )
    return Table.of(about, [_Converted(result, item) for result in results for item in result.estimands], columns)
