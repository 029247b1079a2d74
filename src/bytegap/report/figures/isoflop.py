"""The IsoFLOP grid: bits per byte against model size at each budget, one panel per arm.

The chart rearranges fit.json; the only arithmetic is value plus or minus one standard error.
"""

import math
from collections.abc import Iterable

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import (
    DataRow,
    Figure,
    inline,
    minimum_row,
    panel_columns,
    panels,
    size_ticks,
    tooltips,
    with_data,
)
from bytegap.report.inputs import Inputs
from bytegap.scaling.window import WIDE
from bytegap.schema.fit import Cell

_ROUNDING = 1e-9
"""Relative difference of a size and the end of a curve that is at that size."""
_POINT_TOOLTIPS = (
    ("run", "run"),
    ("arm", "arm"),
    ("N_text", "N"),
    ("D_text", "D, tokens"),
    ("flops", "FLOPs"),
)
_MINIMUM_TOOLTIPS = (
    ("arm", "arm"),
    ("budget", "budget"),
    ("N_text", "optimal N"),
    ("D_text", "optimal D"),
)


def figure(inputs: Inputs, *, width: int = 300, height: int = 210) -> Figure | None:
    """BPB against N, one panel of `width` x `height` pixels per arm, one colour per budget; None without cells."""
    if not inputs.cells:
        return None
    arms = inputs.drawn_arms
    budgets = [fmt.flops(value) for value in sorted({cell.budget_flops for cell in inputs.cells})]
    selection = alt.selection_point(name="budget", fields=["budget"], bind="legend", toggle="true")
    charts = [_panel(inputs, arm, budgets, selection).properties(width=width, height=height) for arm in arms]
    columns = panel_columns([inputs.traits(arm).objective for arm in arms])
    chart = panels(charts, columns, selection)
    excluded = tuple(
        f"{cell.arm} at {fmt.flops(cell.budget_flops)} FLOPs: {cell.note or 'no note'}"
        for cell in inputs.cells
        if not cell.in_frontier
    )
    return Figure(
        name="isoflop",
        title="IsoFLOP grid",
        caption=(
            f"{inputs.loss_of_runs} against {inputs.size_name}; one panel per arm, one colour per budget of training "
            "FLOPs. Points are runs (bar: one standard error of the likelihood estimate), diamonds the minima "
            f"of the curves with 95 % CI. {_curves_in_words(inputs)} Hollow points and dashed curves are cells "
            "excluded from the frontier fits. Click a budget in the legend to highlight it"
            f"{', or a point to open its record' if inputs.has_records else ''}."
        ),
        alt=(
            f"Scatter plots with fitted curves: {len(inputs.cells)} cells of {len(arms)} arms "
            f"at budgets of {', '.join(budgets)} FLOPs. The table of cells holds the same numbers."
        ),
        source="../fit.json",
        chart=chart,
        columns=columns,
        palette="arms",
        tables=("cells", "runs"),
        notes=excluded,
    )


def _curves_in_words(inputs: Inputs) -> str:
    """What the curves are: parabolas, or cubics where an arm's curves are skewed; and whether any is local."""
    skewed = [arm for arm in inputs.drawn_arms if arm in inputs.fit.skew]
    cubic = "a cubic whose third-order coefficient is the same at all budgets of an arm"
    if not skewed:
        form = "a parabola"
    elif len(skewed) == len(inputs.drawn_arms):
        form = cubic
    else:
        form = f"a parabola, and for {', '.join(skewed)} {cubic}"
    local = sum(map(_is_local, inputs.cells))
    curved = sum(len(cell.curve) > 1 for cell in inputs.cells)
    window = (
        f" In {local} of {curved} cells, whose sizes differ by a factor of more than {math.exp(WIDE):.0f}, it is "
        "fitted to, and drawn over, the sizes near the minimum only."
    )
    return f"Each curve is fitted to ln L as a function of ln N: {form}.{window if local else ''}"


def _is_local(cell: Cell) -> bool:
    """Whether a cell's curve leaves out its smallest or its largest size."""
    ends = [n for n, _ in cell.curve]
    return bool(ends) and not (
        ends[0] < min(cell.parameters) * (1 + _ROUNDING) and ends[-1] > max(cell.parameters) * (1 - _ROUNDING)
    )


def _panel(inputs: Inputs, arm: str, budgets: list[str], selection: alt.Parameter) -> alt.LayerChart | alt.FacetChart:
    cells = [cell for cell in inputs.cells if cell.arm == arm]
    colour = alt.Color("budget:O", sort=budgets, title="budget, FLOPs").scale(domain=budgets)
    opacity = alt.when(selection).then(alt.value(1)).otherwise(alt.value(0.07))
    x = alt.X("N:Q", title=inputs.size_name).scale(type="log", nice=False, padding=12)
    x = x.axis(
        format="~s",
        values=size_ticks([n for cell in inputs.cells for n in cell.parameters]),
        labelOverlap="greedy",
        labelSeparation=6,
    )
    y = alt.Y("bpb:Q", title=inputs.loss_name).scale(zero=False, padding=6, nice=False).axis(tickCount=5)
    shared: alt.typing.EncodeKwds = {"color": colour, "opacity": opacity}
    xy: alt.typing.EncodeKwds = {"x": x, "y": y, **shared}
    n_interval: alt.typing.EncodeKwds = {"x": alt.X("N_low:Q"), "x2": "N_high:Q", "y": y, **shared}
    bpb_interval: alt.typing.EncodeKwds = {"x": x, "y": alt.Y("low:Q"), "y2": "high:Q", **shared}
    point: alt.typing.EncodeKwds = {
        **xy,
        "tooltip": tooltips(*_POINT_TOOLTIPS, ("bpb_text", inputs.loss_unit), ("note", "note")),
    }
    if inputs.has_records:
        point["href"] = "href:N"
    minimum: alt.typing.EncodeKwds = {**xy, "tooltip": tooltips(*_MINIMUM_TOOLTIPS, ("bpb_text", inputs.loss_unit))}

    used = [cell for cell in cells if cell.in_frontier]
    excluded = [cell for cell in cells if not cell.in_frontier]
    used_points, excluded_points = inline(_points(inputs, used)), inline(_points(inputs, excluded))
    minima = inline(_minima(cells))
    layers = with_data(
        alt.Chart(inline(_curves(used))).mark_line(strokeWidth=1.6).encode(**xy),
        alt.Chart(inline(_curves(excluded))).mark_line(strokeWidth=1.1, strokeDash=[4, 3]).encode(**xy),
        alt.Chart(used_points).mark_rule(strokeWidth=1).encode(**bpb_interval),
        alt.Chart(minima).mark_rule(strokeWidth=1.6).encode(**n_interval),
        alt.Chart(minima).mark_rule(strokeWidth=1.6).encode(**bpb_interval),
        alt.Chart(inline(_minima(used)))
        .mark_point(filled=True, shape="diamond", size=190, style="optimum")
        .encode(**minimum),
        alt.Chart(inline(_minima(excluded))).mark_point(filled=False, shape="diamond", size=150).encode(**minimum),
        alt.Chart(used_points).mark_point(filled=True, size=40, cursor="pointer", style="run").encode(**point),
        alt.Chart(excluded_points).mark_point(filled=False, size=34, cursor="pointer", strokeWidth=1.2).encode(**point),
    )
    name = f"panel{inputs.arms.index(arm)}"
    return alt.layer(*layers).properties(title=arm, name=name)


def _curves(cells: Iterable[Cell]) -> list[DataRow]:
    return [
        {"arm": cell.arm, "N": n, "bpb": bpb, "budget": fmt.flops(cell.budget_flops)}
        for cell in cells
        for n, bpb in cell.curve
    ]


def _minima(cells: Iterable[Cell]) -> list[DataRow]:
    return [minimum_row(cell) for cell in cells if cell.optimum_parameters.value and cell.optimum_bpb.value]


def _points(inputs: Inputs, cells: Iterable[Cell]) -> list[DataRow]:
    points: list[DataRow] = []
    for cell in cells:
        lists = (cell.runs, cell.parameters, cell.tokens, cell.bpb, cell.bpb_se)
        for run, n, tokens, bpb, se in zip(*lists, strict=True):
            flops = inputs.run_flops(run)
            points.append(
                {
                    "run": run,
                    "arm": cell.arm,
                    "N": n,
                    "bpb": bpb,
                    "low": bpb - se,
                    "high": bpb + se,
                    "budget": fmt.flops(cell.budget_flops),
                    "N_text": fmt.count(n),
                    "D_text": fmt.count(tokens),
                    "flops": fmt.MISSING if flops is None else fmt.flops(flops),
                    "bpb_text": f"{fmt.bpb(bpb)} \N{PLUS-MINUS SIGN} {fmt.bpb(se)}",
                    "note": cell.note or fmt.MISSING,
                    "href": inputs.run_link(run),
                }
            )
    return points
