"""The compute-optimal frontiers: bits per byte against compute, beside what needs no learning.

The chart holds what fit.json holds, rearranged.
"""

from typing import Any

import altair as alt

from bytegap.records import Cell
from bytegap.report import baselines, text
from bytegap.report.figures import Figure, Values, data, flops_axis, optimum, picked, present, tooltips
from bytegap.report.inputs import Inputs, forms_of

WIDTH = 640
HEIGHT = 380


def figure(inputs: Inputs) -> Figure | None:
    """BPB against compute: every arm's frontier with its band, its cells' minima, the symbol sets' own floors."""
    arms = inputs.drawn_arms
    if not arms:
        return None
    pick = alt.selection_point(name="arm", fields=["arm"], bind="legend", toggle="true")
    fade = alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.06))
    colour = alt.Color("arm:N", title="arm").scale(domain=arms)
    shape = alt.Shape("arm:N", title="arm").scale(
        domain=arms, range=_SHAPES[: len(arms)] if len(arms) < 7 else alt.Undefined
    )
    x = alt.X("C:Q").scale(type="log", nice=False, padding=16).axis(flops_axis(inputs))
    y = alt.Y("bpb:Q", title="bits per byte").scale(zero=False).axis(tickCount=8)
    base: dict[str, Any] = {"x": x, "y": y, "color": colour, "opacity": fade}
    lead = inputs.forms[0] if inputs.forms else ""
    first = data(_lines(inputs, inputs.forms[:1]))
    other = data(_lines(inputs, inputs.forms[1:]))
    kept = data(_minimum(cell) for cell in inputs.cells if cell.in_frontier and cell.optimum_bpb.value)
    out = data(_minimum(cell) for cell in inputs.cells if not cell.in_frontier and cell.optimum_bpb.value)
    if not kept.values and not out.values:
        return None
    tips = tooltips(*_MINIMUM_TIPS)
    band = alt.when(pick).then(alt.value(0.2)).otherwise(alt.value(0))
    marks: dict[str, Any] = base | {"shape": shape}
    layers = present(
        *_floors(inputs),
        *_compressors(inputs),
        *_behind(inputs),
        alt.Chart(first).mark_area().encode(**base | {"y": alt.Y("low:Q"), "y2": "high:Q", "opacity": band}),
        alt.Chart(other).mark_line(strokeWidth=1, strokeDash=[5, 3]).encode(**base, detail="form:N"),
        alt.Chart(first).mark_line(strokeWidth=2).encode(**base),
        alt.Chart(kept).mark_rule(strokeWidth=1.2).encode(**base | {"y": alt.Y("low:Q"), "y2": "high:Q"}),
        alt.Chart(kept).mark_point(filled=True, size=60).encode(**marks, tooltip=tips),
        alt.Chart(out).mark_point(filled=False, size=60).encode(**marks, tooltip=tips),
    )
    behind = f" Grey, dash-dotted: the frontiers of {inputs.over[0]}, on its own text." if inputs.over else ""
    packed = f" {baselines.caption(inputs)}" if inputs.baselines else ""
    forms = f"Solid: {lead}" if lead else "No arm has a frontier"
    if len(inputs.forms) > 1:
        forms += f"; thin dashes: {', '.join(inputs.forms[1:])}"
    return Figure(
        name="frontiers",
        title="Compute-optimal frontiers",
        caption=(
            f"Lowest bits per byte an arm reaches at each budget, with the fitted {text.LAW} and its 95 % "
            f"band. {forms}. Hollow points are cells left out. Grey lines: what each symbol set's unigram and "
            f"bigram reach on the same test text.{packed}{behind} Click a name in the legend to see that arm "
            "alone, more to add them, double-click to see all."
        ),
        alt=f"Line chart of bits per byte against FLOPs for {', '.join(arms)}; the table of cells holds the minima.",
        source="../fit.json",
        chart=picked(layers, pick).properties(width=WIDTH, height=HEIGHT, name="frontiers"),
        columns=1,
        colours="arms",
        tables=("cells", "frontiers"),
    )


_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"]
_MINIMUM_TIPS = (
    ("arm", "arm"),
    ("budget", "budget"),
    ("bpb_text", "BPB"),
    ("N_text", "optimum N"),
    ("D_text", "optimum D, symbols"),
    ("note", "note"),
)


def _lines(inputs: Inputs, forms: list[str]) -> Values:
    return [
        {"arm": item.arm, "form": item.form, "C": c, "bpb": bpb, "low": low, "high": high}
        for item in inputs.fit.frontiers
        if item.form in forms
        for c, bpb, low, high in item.curve
    ]


def _behind(inputs: Inputs) -> list[alt.Chart]:
    """The frontiers of the study that this one is drawn over, each with its arm's name where it ends."""
    if inputs.over is None:
        return []
    _, fit = inputs.over
    lead = forms_of(fit)[:1]
    lines = [(item.arm, item.curve) for item in fit.frontiers if item.form in lead]
    points = data({"behind": arm, "C": c, "bpb": bpb} for arm, curve in lines for c, bpb, *_ in curve)
    ends = data({"behind": arm, "C": curve[-1][0], "bpb": curve[-1][1]} for arm, curve in lines)
    return [
        alt.Chart(points)
        .mark_line(style="floor", strokeDash=[7, 3, 1, 3])
        .encode(x="C:Q", y="bpb:Q", detail="behind:N"),
        alt.Chart(ends).mark_text(style="floor-text", align="left", dx=4).encode(x="C:Q", y="bpb:Q", text="behind:N"),
    ]


def _minimum(cell: Cell) -> dict[str, Any]:
    return optimum(cell) | {
        "C": cell.budget_flops,
        "note": cell.note or text.NONE,
    }


# Names of one symbol set end at the right edge, the next set's beside them, so that close floors do not collide.
_NAME_WIDTH = 130
_NAMES_ABREAST = 4
_CLOSE_BPB = 0.12


def _floors(inputs: Inputs) -> list[alt.Chart]:
    """A line and its name for every symbol set's unigram and bigram."""
    every = [value for floor in inputs.fit.floors for value in (floor.unigram_bpb, floor.bigram_bpb)]
    charts: list[alt.Chart] = []
    for number, floor in enumerate(inputs.fit.floors):
        for name, value, dash in (
            ("unigram", floor.unigram_bpb, [1, 3]),
            ("bigram", floor.bigram_bpb, [6, 4]),
        ):
            here = alt.Chart(data([{"bpb": value, "label": f"{floor.tokens} {name} {value:.2f}"}]))
            # A line close above would strike the name through: it goes below its own line then.
            below = any(value < other < value + _CLOSE_BPB for other in every)
            words = here.mark_text(
                style="floor-text",
                align="right",
                baseline="top" if below else "bottom",
                dx=-4 - _NAME_WIDTH * (number % _NAMES_ABREAST),
                dy=3 if below else -2,
            )
            charts += [
                here.mark_rule(style="floor", strokeDash=dash).encode(y="bpb:Q", tooltip="label:N"),
                words.encode(y="bpb:Q", x=alt.value("width"), text="label:N"),
            ]
    return charts


def _compressors(inputs: Inputs) -> list[alt.Chart]:
    """A line for each of a few compressors that comes near the plot, its name at the left edge."""
    charts: list[alt.Chart] = []
    for name, value in baselines.lines(inputs)[0]:
        here = alt.Chart(data([{"bpb": value, "label": f"{name} {value:.2f}"}]))
        words = here.mark_text(style="floor-text", align="left", baseline="bottom", dx=4, dy=-2)
        charts += [
            here.mark_rule(style="floor", strokeDash=[2, 2, 8, 2]).encode(y="bpb:Q", tooltip="label:N"),
            words.encode(y="bpb:Q", x=alt.value(0), text="label:N"),
        ]
    return charts
