"""The IsoFLOP grid: bits per byte against size at each budget, a panel an arm.

The chart holds what fit.json holds, rearranged; the only arithmetic is where an error bar ends.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import altair as alt

from bytegap.records import Cell
from bytegap.report import text
from bytegap.report.figures import Figure, Values, data, optimum, present, tooltips
from bytegap.report.inputs import Inputs

WIDTH = 300
HEIGHT = 210
_MOST_COLUMNS = 4


def figure(inputs: Inputs) -> Figure | None:
    """BPB against N, a panel an arm, a colour a budget; None where no cell was fitted."""
    if not inputs.cells:
        return None
    panels = inputs.drawn_arms
    budgets = [text.flops(value) for value in sorted({cell.budget_flops for cell in inputs.cells})]
    pick = alt.selection_point(name="budget", fields=["budget"], bind="legend", toggle="true")
    charts = [_panel(inputs, arm, budgets, pick) for arm in panels]
    columns = _columns([inputs.traits(arm)[1] for arm in panels])
    with warnings.catch_warnings():
        # Altair warns that the panels share one selection; that is the intent.
        warnings.filterwarnings("ignore", message="Automatically deduplicated")
        chart = _grid(charts, columns, pick)
    excluded = tuple(
        f"{cell.arm} at {text.flops(cell.budget_flops)} FLOPs: {cell.note or 'no note'}"
        for cell in inputs.cells
        if not cell.in_frontier
    )
    return Figure(
        name="isoflop",
        title="IsoFLOP grid",
        caption=(
            "Test bits per byte against non-embedding parameters, one panel an arm, one colour a budget of training "
            "FLOPs. Points are runs (bar: one standard error of the estimator); curves the fitted parabolas; diamonds "
            "their minima, with 95 % intervals. Hollow points and dashed curves are cells left out of the frontiers. "
            "Click a budget in the legend to see it alone; click a point for its record."
        ),
        alt=(
            f"Scatter plots with parabolas: {len(inputs.cells)} cells of {len(panels)} arms "
            f"at budgets {', '.join(budgets)} FLOPs. The table of cells holds the same numbers."
        ),
        source="../fit.json",
        chart=chart,
        columns=columns,
        colours="arms",
        tables=("cells", "runs"),
        notes=excluded,
    )


def _columns(objectives: list[str]) -> int:
    """Panels a row, at most four: an objective's arms fill whole rows where they can, two objectives' where many."""
    own = max(objectives.count(objectives[0]), min(len(objectives), 2))
    if own > _MOST_COLUMNS:
        return next((n for n in (4, 3) if own % n == 0), _MOST_COLUMNS)
    return 2 * own if own == 2 and len(objectives) > 2 * _MOST_COLUMNS else own


def _grid(charts: list[Any], columns: int, pick: alt.Parameter) -> Any:
    return (
        alt.concat(*charts, columns=columns, spacing={"row": 26, "column": 26})
        .resolve_scale(x="shared", y="shared", color="shared")
        .resolve_legend(color="shared")
        .add_params(pick)
    )


def _panel(inputs: Inputs, arm: str, budgets: list[str], pick: alt.Parameter) -> Any:
    cells = [cell for cell in inputs.cells if cell.arm == arm]
    colour = alt.Color("budget:O", sort=budgets, title="budget, FLOPs").scale(domain=budgets)
    fade = alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.07))
    x = alt.X("N:Q", title="non-embedding parameters N").scale(type="log", nice=False, padding=12)
    x = x.axis(format="~s", values=_sizes(inputs), labelOverlap="greedy")
    y = alt.Y("bpb:Q", title="bits per byte").scale(zero=False, padding=6, nice=False)
    y = y.axis(tickCount=5)
    base: dict[str, Any] = {"x": x, "y": y, "color": colour, "opacity": fade}

    def of(cells: Iterable[Cell]) -> tuple[alt.InlineData, alt.InlineData]:
        cells = list(cells)
        return data(_curve(cells)), data(point for cell in cells for point in _points(inputs, cell))

    kept, kept_points = of(cell for cell in cells if cell.in_frontier)
    out, out_points = of(cell for cell in cells if not cell.in_frontier)
    found = [cell for cell in cells if cell.optimum_parameters.value and cell.optimum_bpb.value]
    optima, kept_optima, out_optima = (
        data(optimum(cell) for cell in found if cell.in_frontier in which)
        for which in ((True, False), (True,), (False,))
    )
    tips = tooltips(*_POINT_TIPS)
    optimum_tips = tooltips(*_OPTIMUM_TIPS)
    layers = present(
        alt.Chart(kept).mark_line(strokeWidth=1.6).encode(**base),
        alt.Chart(out).mark_line(strokeWidth=1.1, strokeDash=[4, 3]).encode(**base),
        alt.Chart(kept_points).mark_rule(strokeWidth=1).encode(**base | {"y": alt.Y("low:Q"), "y2": "high:Q"}),
        alt.Chart(optima).mark_rule(strokeWidth=1.6).encode(**base | {"x": alt.X("N_low:Q"), "x2": "N_high:Q"}),
        alt.Chart(optima).mark_rule(strokeWidth=1.6).encode(**base | {"y": alt.Y("low:Q"), "y2": "high:Q"}),
        alt.Chart(kept_optima)
        .mark_point(filled=True, shape="diamond", size=190, style="optimum")
        .encode(**base, tooltip=optimum_tips),
        alt.Chart(out_optima).mark_point(filled=False, shape="diamond", size=150).encode(**base, tooltip=optimum_tips),
        alt.Chart(kept_points)
        .mark_point(filled=True, size=40, cursor="pointer", style="run")
        .encode(**base, tooltip=tips, href="href:N"),
        alt.Chart(out_points)
        .mark_point(filled=False, size=34, cursor="pointer", strokeWidth=1.2)
        .encode(**base, tooltip=tips, href="href:N"),
    )
    return alt.layer(*layers).properties(title=arm, width=WIDTH, height=HEIGHT, name=f"panel{inputs.arms.index(arm)}")


_POINT_TIPS = (
    ("run", "run"),
    ("arm", "arm"),
    ("N_text", "N"),
    ("D_text", "D, symbols"),
    ("flops", "FLOPs"),
    ("bpb_text", "BPB"),
    ("note", "note"),
)
_OPTIMUM_TIPS = (
    ("arm", "arm"),
    ("budget", "budget"),
    ("N_text", "optimum N"),
    ("D_text", "optimum D"),
    ("bpb_text", "BPB"),
)


def _sizes(inputs: Inputs) -> list[float]:
    """Ticks at 1 and 3 times powers of ten, within the sizes drawn."""
    sizes = [n for cell in inputs.cells for n in cell.parameters]
    ticks = [lead * 10.0**power for power in range(2, 13) for lead in (1, 3)]
    return [tick for tick in ticks if min(sizes) <= tick <= max(sizes)]


def _curve(cells: list[Cell]) -> Values:
    return [
        {"arm": cell.arm, "N": n, "bpb": bpb, "budget": text.flops(cell.budget_flops)}
        for cell in cells
        for n, bpb in cell.curve
    ]


def _points(inputs: Inputs, cell: Cell) -> Values:
    points: Values = []
    lists = (cell.runs, cell.parameters, cell.symbols, cell.bpb, cell.bpb_se)
    for run, n, d, bpb, se in zip(*lists, strict=True):
        row = inputs.row(run)
        points.append(
            {
                "run": run,
                "arm": cell.arm,
                "N": n,
                "bpb": bpb,
                "low": bpb - se,
                "high": bpb + se,
                "budget": text.flops(cell.budget_flops),
                "N_text": text.count(n),
                "D_text": text.count(d),
                "flops": text.flops(row.flops) if row else text.NONE,
                "bpb_text": f"{text.bpb(bpb)} \N{PLUS-MINUS SIGN} {text.bpb(se)}",
                "note": cell.note or text.NONE,
                "href": inputs.link(run),
            }
        )
    return points
