"""Tables of fit.json: IsoFLOP cells, estimands, frontiers, and the headlines under every FLOPs convention."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import UNKNOWN, Column, Entry, Table, number, text, with_interval, yes_no
from bytegap.schema.fit import Cell, ConventionResult, Estimand

_PURE_SHIFT = (
    " At equal compute a positive interaction may only mean that one objective needs a constant multiple of the "
    "other's compute: the last columns give the interaction that such a shift alone would produce."
)


def cells(inputs: Inputs) -> Table:
    """One row per cell: the compute-optimal size and loss of an arm at a budget."""
    baselines = {baseline.tokenizer: baseline for baseline in inputs.fit.ngram_baselines}

    def row(cell: Cell) -> tuple[Entry, ...]:
        baseline = baselines.get(inputs.traits(cell.arm).tokenizer)
        return (
            text(cell.arm),
            number(cell.budget_flops, fmt.flops),
            *with_interval(cell.optimum_parameters, fmt.count),
            number(cell.optimum_tokens.value, fmt.count),
            *with_interval(cell.optimum_bpb, fmt.bpb),
            number(baseline.unigram_bpb if baseline else None, fmt.bpb),
            yes_no(cell.bracketed),
            yes_no(cell.learns_context),
            yes_no(cell.in_frontier),
            text(cell.note),
        )

    return Table(
        name="cells",
        title="IsoFLOP cells",
        caption=(
            "Compute-optimal size and loss of each arm at each budget, with 95 % CI, and the unigram BPB of the arm's "
            "tokenizer."
        ),
        source="../fit.json",
        columns=(
            Column("arm", "arm", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("optimum_parameters", "optimal N"),
            Column("optimum_parameters_low", "low"),
            Column("optimum_parameters_high", "high"),
            Column("optimum_tokens", "optimal D, tokens"),
            Column("optimum_bpb", "BPB"),
            Column("optimum_bpb_low", "low"),
            Column("optimum_bpb_high", "high"),
            Column("unigram_bpb", "unigram BPB"),
            Column("bracketed", "bracketed", numeric=False),
            Column("learns_context", "learns context", numeric=False),
            Column("in_frontier", "in frontier", numeric=False),
            Column("note", "note", numeric=False),
        ),
        rows=tuple(row(cell) for cell in inputs.cells),
    )


def estimands(inputs: Inputs) -> Table:
    """One row per estimand; with what a pure shift in compute predicts, if the fit states it for any."""
    has_shift = any(item.pure_shift for item in inputs.fit.estimands)
    rows = [
        (
            text(item.name),
            text(item.objective),
            text(" / ".join(item.arms)),
            text(item.form),
            number(item.at_bpb, fmt.bpb),
            number(item.at_flops, fmt.flops),
            text(item.bound),
            *with_interval(item.quantity, fmt.ESTIMAND_FORMATTERS[item.name]),
            text(item.label),
            yes_no(item.headline),
            *(with_interval(item.pure_shift or UNKNOWN, fmt.ESTIMAND_FORMATTERS[item.name]) if has_shift else ()),
        )
        for item in inputs.fit.estimands
    ]
    shift_columns = (
        Column("pure_shift", "under a pure shift"),
        Column("pure_shift_low", "low"),
        Column("pure_shift_high", "high"),
    )
    return Table(
        name="estimands",
        title="Estimands",
        caption=(
            "Every estimand with its 95 % CI. Estimated: every frontier used was observed there. Censored: only a "
            "bound is known. Extrapolated: beyond the observed budgets, never headlined."
            + (_PURE_SHIFT if has_shift else "")
        ),
        source="../fit.json",
        columns=(
            Column("name", "estimand", numeric=False),
            Column("objective", "objective", numeric=False),
            Column("arms", "arms", numeric=False),
            Column("form", "form of frontier", numeric=False),
            Column("at_bpb", "at BPB"),
            Column("at_flops", "at FLOPs"),
            Column("bound", "bound", numeric=False),
            Column("value", "value"),
            Column("low", "low"),
            Column("high", "high"),
            Column("label", "status", numeric=False),
            Column("headline", "headline", numeric=False),
            *(shift_columns if has_shift else ()),
        ),
        rows=tuple(rows),
    )


def frontiers(inputs: Inputs) -> Table:
    """One row per fitted frontier: its form and its parameters."""
    rows = [
        (
            text(item.arm),
            text(item.form),
            *with_interval(item.irreducible_loss_bpb, fmt.four_digits),
            *with_interval(item.amplitude, fmt.four_digits),
            *with_interval(item.exponent, fmt.four_digits),
            number(item.flops_observed[0], fmt.flops),
            number(item.flops_observed[1], fmt.flops),
        )
        for item in inputs.fit.frontiers
    ]
    parameters = (
        ("irreducible_loss_bpb", "irreducible loss E, BPB"),
        ("amplitude", "amplitude A"),
        ("exponent", "exponent g"),
    )
    return Table(
        name="frontiers",
        title="Frontiers",
        caption=f"Parameters of {fmt.FRONTIER_LAW} of each arm in each form, with 95 % CI.",
        source="../fit.json",
        columns=(
            Column("arm", "arm", numeric=False),
            Column("form", "form", numeric=False),
            *(
                column
                for name, heading in parameters
                for column in (Column(name, heading), Column(f"{name}_low", "low"), Column(f"{name}_high", "high"))
            ),
            Column("flops_observed_low", "observed from, FLOPs"),
            Column("flops_observed_high", "to, FLOPs"),
        ),
        rows=tuple(rows),
    )


def conventions(inputs: Inputs) -> Table | None:
    """One row per convention and headline; None where the fit has only its own convention."""
    results = inputs.fit.by_convention
    if len(results) < 2:
        return None
    return Table(
        name="conventions",
        title="Headlines by FLOPs convention",
        caption=(
            "The headline estimands at the same loss, with the training compute of the same runs counted under each "
            "FLOPs convention. Runs of one cell that then differ in compute are moved along the frontier's slope to a "
            "common compute, by at most the factor given. Only the first convention has the fit's full number of "
            "bootstrap samples."
        ),
        source="../fit.json",
        columns=(
            Column("convention", "convention", numeric=False),
            Column("name", "estimand", numeric=False),
            Column("objective", "objective", numeric=False),
            Column("arms", "arms", numeric=False),
            Column("form", "form of frontier", numeric=False),
            Column("at_bpb", "at BPB"),
            Column("bound", "bound", numeric=False),
            Column("value", "value"),
            Column("low", "low"),
            Column("high", "high"),
            Column("label", "status", numeric=False),
            Column("cells_in_frontier", "cells in frontiers"),
            Column("largest_adjustment", "largest change of C"),
            Column("bootstraps", "bootstrap samples"),
            Column("excluded_arms", "arms left out", numeric=False),
        ),
        rows=tuple(_convention_row(result, item) for result in results for item in result.estimands),
    )


def _convention_row(result: ConventionResult, item: Estimand) -> tuple[Entry, ...]:
    return (
        text(result.convention),
        text(item.name),
        text(item.objective),
        text(" / ".join(item.arms)),
        text(item.form),
        number(item.at_bpb, fmt.bpb),
        text(item.bound),
        *with_interval(item.quantity, fmt.ESTIMAND_FORMATTERS[item.name]),
        text(item.label),
        number(result.cells_in_frontier),
        number(result.largest_adjustment, fmt.ratio),
        number(result.bootstraps),
        text(", ".join(result.excluded_arms)),
    )
