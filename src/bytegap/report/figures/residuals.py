"""Residuals of the IsoFLOP curves: ln L of each run minus its cell's fitted curve, one panel per arm.

A curve that fits leaves no pattern: a bend that all budgets share means that the curve's shape is wrong, a budget that
lies above or below zero that its minimum is. The chart takes runs and curves from fit.json; its only arithmetic is the
difference of logarithms, with the curve interpolated linearly in ln N and ln L between its points.
"""

from collections.abc import Sequence

import altair as alt
import numpy as np

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow, Figure, inline, panel_columns, panels, size_ticks, tooltips, with_data
from bytegap.report.inputs import Inputs
from bytegap.schema.fit import Cell

_WIDTH, _HEIGHT = 190, 110
_TOOLTIPS = (
    ("run", "run"),
    ("arm", "arm"),
    ("budget", "budget"),
    ("N_text", "N"),
    ("bpb_text", "BPB"),
    ("residual_text", "ln L minus curve"),
)


def residuals(cell: Cell) -> list[float | None]:
    """Difference of ln L and the fitted curve at N for each run of a cell; None where the curve does not reach N."""
    if len(cell.curve) < 2:
        return [None] * len(cell.runs)
    ln_n, ln_loss = (np.log(np.array(values, dtype=np.float64)) for values in zip(*cell.curve, strict=True))
    ln_size = np.log(np.array(cell.parameters, dtype=np.float64))
    difference = np.log(np.array(cell.bpb, dtype=np.float64)) - np.interp(ln_size, ln_n, ln_loss)
    slack = 1e-9 * abs(ln_n[-1])  # sizes at the ends are those of the curve, but for rounding
    is_reached = (ln_size >= ln_n[0] - slack) & (ln_size <= ln_n[-1] + slack)
    return [float(each) if reached else None for each, reached in zip(difference, is_reached, strict=True)]


def figure(inputs: Inputs) -> Figure | None:
    """One panel per arm, one colour per budget; None where no cell has a curve."""
    by_arm = {
        arm: [row for cell in inputs.cells if cell.arm == arm for row in _rows(cell)] for arm in inputs.drawn_arms
    }
    by_arm = {arm: rows for arm, rows in by_arm.items() if rows}
    if not by_arm:
        return None
    budgets = [fmt.flops(value) for value in sorted({cell.budget_flops for cell in inputs.cells})]
    selection = alt.selection_point(name="residual_budget", fields=["budget"], bind="legend", toggle="true")
    ticks = size_ticks([n for cell in inputs.cells for n in cell.parameters])
    columns = panel_columns([inputs.traits(arm).objective for arm in by_arm])
    charts = [
        _panel(rows, budgets, selection, ticks).properties(title=arm, name=f"residuals{inputs.arms.index(arm)}")
        for arm, rows in by_arm.items()
    ]
    count = sum(map(len, by_arm.values()))
    return Figure(
        name="residuals",
        title="Residuals of the IsoFLOP curves",
        caption=(
            "ln L of each run minus the fitted curve of its cell, against N; lines join the means of each size at a "
            "budget. Bar: one standard error of the likelihood estimate. A bend that all budgets of an arm share means "
            "that the curve has the wrong shape. Hollow: cells excluded from the frontier fits."
        ),
        alt=f"Scatter plots of {count} residuals in {len(by_arm)} panels; the table of runs holds the losses.",
        source="../fit.json",
        chart=panels(charts, columns, selection),
        columns=columns,
        palette="arms",
        tables=("runs",),
    )


def _rows(cell: Cell) -> list[DataRow]:
    lists = (cell.runs, cell.parameters, cell.bpb, cell.bpb_se, residuals(cell))
    return [
        {
            "run": run,
            "arm": cell.arm,
            "N": n,
            "residual": residual,
            "low": residual - se / bpb,
            "high": residual + se / bpb,
            "used": str(cell.in_frontier),
            "budget": fmt.flops(cell.budget_flops),
            "N_text": fmt.count(n),
            "bpb_text": fmt.bpb(bpb),
            "residual_text": fmt.signed(residual),
        }
        for run, n, bpb, se, residual in zip(*lists, strict=True)
        if residual is not None
    ]


def _means(rows: Sequence[DataRow]) -> list[DataRow]:
    """The mean residual of the runs of each size at each budget."""
    groups: dict[tuple[object, object], list[DataRow]] = {}
    for row in rows:
        groups.setdefault((row["budget"], row["N"]), []).append(row)
    return [
        {**own[0], "residual": sum(float(str(row["residual"])) for row in own) / len(own)} for own in groups.values()
    ]


def _panel(
    rows: Sequence[DataRow], budgets: list[str], selection: alt.Parameter, ticks: list[float]
) -> alt.LayerChart | alt.FacetChart:
    x = alt.X("N:Q", title="parameters N").scale(type="log", nice=False, padding=10)
    x = x.axis(format="~s", values=ticks, labelOverlap="greedy", labelSeparation=6)
    y = alt.Y("residual:Q", title="ln L minus curve").scale(nice=False, padding=6).axis(tickCount=4)
    shared: alt.typing.EncodeKwds = {
        "x": x,
        "y": y,
        "color": alt.Color("budget:O", sort=budgets, title="budget, FLOPs").scale(domain=budgets),
        "opacity": alt.when(selection).then(alt.value(1)).otherwise(alt.value(0.07)),
    }
    ends: alt.typing.EncodeKwds = {**shared, "y": alt.Y("low:Q"), "y2": "high:Q"}
    point: alt.typing.EncodeKwds = {**shared, "tooltip": tooltips(*_TOOLTIPS)}
    used, excluded = ([row for row in rows if row["used"] == name] for name in ("True", "False"))
    zero = alt.Chart(inline([{"residual": 0.0}])).mark_rule(style="neutral", strokeDash=[2, 2])
    layers = with_data(
        zero.encode(y=y),
        alt.Chart(inline(_means(rows))).mark_line(strokeWidth=1, strokeOpacity=0.6).encode(**shared),
        alt.Chart(inline(rows)).mark_rule(strokeWidth=1).encode(**ends),
        alt.Chart(inline(excluded)).mark_point(filled=False, size=26, strokeWidth=1.2).encode(**point),
        alt.Chart(inline(used)).mark_point(filled=True, size=30, style="run").encode(**point),
    )
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
