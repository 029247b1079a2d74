"""The compute-optimal frontiers: bits per byte against training compute, with baselines that need no training.

The chart rearranges fit.json.
"""

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures import compressors
from bytegap.report.figures.base import (
    DataRow,
    Figure,
    flops_axis,
    inline,
    minimum_row,
    tooltips,
    with_data,
    with_legend_filter,
)
from bytegap.report.inputs import Inputs, forms_of
from bytegap.schema.fit import Cell

_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"]
_MINIMUM_TOOLTIPS = (
    ("arm", "arm"),
    ("budget", "budget"),
    ("bpb_text", "BPB"),
    ("N_text", "optimal N"),
    ("D_text", "optimal D, tokens"),
    ("note", "note"),
)
# Baselines of one tokenizer are named at the right edge, those of the next to their left, so that names of baselines
# with nearly equal BPB do not overlap.
_NAME_WIDTH = 130
_NAME_COLUMNS = 4
_CLOSE_BPB = 0.12


def figure(inputs: Inputs, *, width: int = 640, height: int = 380) -> Figure | None:
    """Every arm's IsoFLOP minima and its frontier with its 95 % band; None if there is no minimum."""
    used = [_minimum(cell) for cell in inputs.cells if cell.in_frontier and cell.optimum_bpb.value]
    excluded = [_minimum(cell) for cell in inputs.cells if not cell.in_frontier and cell.optimum_bpb.value]
    if not used and not excluded:
        return None
    selection = alt.selection_point(name="arm", fields=["arm"], bind="legend", toggle="true")
    layers = with_data(
        *_ngram_baselines(inputs),
        *_compressors(inputs),
        *_reference(inputs),
        *_arm_layers(inputs, used, excluded, selection),
    )
    arms = ", ".join(inputs.drawn_arms)
    return Figure(
        name="frontiers",
        title="Compute-optimal frontiers",
        caption=_caption(inputs),
        alt=f"Line chart of bits per byte against FLOPs for {arms}; the table of cells holds the minima.",
        source="../fit.json",
        chart=with_legend_filter(layers, selection).properties(width=width, height=height, name="frontiers"),
        columns=1,
        palette="arms",
        tables=("cells", "frontiers"),
    )


def _caption(inputs: Inputs) -> str:
    forms = f"Solid: {inputs.forms[0]}" if inputs.forms else "No arm has a frontier"
    if len(inputs.forms) > 1:
        forms += f"; thin dashes: {', '.join(inputs.forms[1:])}"
    packed = f" {compressors.caption(inputs)}" if inputs.baselines else ""
    reference = ""
    if inputs.reference:
        reference = f" Grey, dash-dotted: the frontiers of {inputs.reference.name}, on that study's text."
    return (
        f"IsoFLOP minimum of bits per byte of each arm at each budget, with the fitted {fmt.FRONTIER_LAW} and its 95 % "
        f"band. {forms}. Hollow points are cells excluded from the fits. Grey horizontal lines are n-gram baselines: "
        f"the unigram and bigram BPB of each tokenizer on the same test text.{packed}{reference} Click an arm in the "
        "legend to highlight it, more to add them, double-click to reset."
    )


def _arm_layers(
    inputs: Inputs, used: list[DataRow], excluded: list[DataRow], selection: alt.Parameter
) -> list[alt.Chart]:
    """Bands, curves and minima of all arms."""
    arms = inputs.drawn_arms
    opacity = alt.when(selection).then(alt.value(1)).otherwise(alt.value(0.06))
    band_opacity = alt.when(selection).then(alt.value(0.2)).otherwise(alt.value(0))
    colour = alt.Color("arm:N", title="arm").scale(domain=arms)
    shape = alt.Shape("arm:N", title="arm").scale(
        domain=arms, range=_SHAPES[: len(arms)] if len(arms) <= len(_SHAPES) else alt.Undefined
    )
    x = alt.X("C:Q").scale(type="log", nice=False, padding=16).axis(flops_axis(inputs))
    y = alt.Y("bpb:Q", title="bits per byte").scale(zero=False).axis(tickCount=8)
    line: alt.typing.EncodeKwds = {"x": x, "y": y, "color": colour, "opacity": opacity}
    interval: alt.typing.EncodeKwds = {**line, "y": alt.Y("low:Q"), "y2": "high:Q"}
    band: alt.typing.EncodeKwds = {**interval, "opacity": band_opacity}
    by_form: alt.typing.EncodeKwds = {**line, "detail": "form:N"}
    point: alt.typing.EncodeKwds = {**line, "shape": shape, "tooltip": tooltips(*_MINIMUM_TOOLTIPS)}

    preferred = inline(_curves(inputs, inputs.forms[:1]))
    others = inline(_curves(inputs, inputs.forms[1:]))
    return [
        alt.Chart(preferred).mark_area().encode(**band),
        alt.Chart(others).mark_line(strokeWidth=1, strokeDash=[5, 3]).encode(**by_form),
        alt.Chart(preferred).mark_line(strokeWidth=2).encode(**line),
        alt.Chart(inline(used)).mark_rule(strokeWidth=1.2).encode(**interval),
        alt.Chart(inline(used)).mark_point(filled=True, size=60).encode(**point),
        alt.Chart(inline(excluded)).mark_point(filled=False, size=60).encode(**point),
    ]


def _curves(inputs: Inputs, forms: list[str]) -> list[DataRow]:
    return [
        {"arm": frontier.arm, "form": frontier.form, "C": c, "bpb": bpb, "low": low, "high": high}
        for frontier in inputs.fit.frontiers
        if frontier.form in forms
        for c, bpb, low, high in frontier.curve
    ]


def _minimum(cell: Cell) -> DataRow:
    return minimum_row(cell) | {"C": cell.budget_flops, "note": cell.note or fmt.MISSING}


def _reference(inputs: Inputs) -> list[alt.Chart]:
    """The frontiers of the reference study, each named at its end."""
    if inputs.reference is None:
        return []
    fit = inputs.reference.fit
    preferred = forms_of(fit)[:1]
    curves = [(frontier.arm, frontier.curve) for frontier in fit.frontiers if frontier.form in preferred]
    points = inline({"reference_arm": arm, "C": c, "bpb": bpb} for arm, curve in curves for c, bpb, *_ in curve)
    ends = inline({"reference_arm": arm, "C": curve[-1][0], "bpb": curve[-1][1]} for arm, curve in curves)
    return [
        alt.Chart(points)
        .mark_line(style="baseline", strokeDash=[7, 3, 1, 3])
        .encode(x="C:Q", y="bpb:Q", detail="reference_arm:N"),
        alt.Chart(ends)
        .mark_text(style="baseline-name", align="left", dx=4)
        .encode(x="C:Q", y="bpb:Q", text="reference_arm:N"),
    ]


def _ngram_baselines(inputs: Inputs) -> list[alt.Chart]:
    """A line and its name for the unigram and the bigram of every tokenizer."""
    baselines = inputs.fit.ngram_baselines
    values = [bpb for baseline in baselines for bpb in (baseline.unigram_bpb, baseline.bigram_bpb)]
    charts: list[alt.Chart] = []
    for number, baseline in enumerate(baselines):
        for name, bpb, dash in (
            ("unigram", baseline.unigram_bpb, [1, 3]),
            ("bigram", baseline.bigram_bpb, [6, 4]),
        ):
            chart = alt.Chart(inline([{"bpb": bpb, "label": f"{baseline.tokenizer} {name} {bpb:.2f}"}]))
            # A line just above would run through the name, which then goes below its own line.
            below = any(bpb < other < bpb + _CLOSE_BPB for other in values)
            text = chart.mark_text(
                style="baseline-name",
                align="right",
                baseline="top" if below else "bottom",
                dx=-4 - _NAME_WIDTH * (number % _NAME_COLUMNS),
                dy=3 if below else -2,
            )
            charts += [
                chart.mark_rule(style="baseline", strokeDash=dash).encode(y="bpb:Q", tooltip="label:N"),
                text.encode(y="bpb:Q", x=alt.value("width"), text="label:N"),
            ]
    return charts


def _compressors(inputs: Inputs) -> list[alt.Chart]:
    """A line for each compressor that is drawn, named at the left edge."""
    charts: list[alt.Chart] = []
    for name, bpb in compressors.bpb_lines(inputs).drawn:
        chart = alt.Chart(inline([{"bpb": bpb, "label": f"{name} {bpb:.2f}"}]))
        text = chart.mark_text(style="baseline-name", align="left", baseline="bottom", dx=4, dy=-2)
        charts += [
            chart.mark_rule(style="baseline", strokeDash=[2, 2, 8, 2]).encode(y="bpb:Q", tooltip="label:N"),
            text.encode(y="bpb:Q", x=alt.value(0), text="label:N"),
        ]
    return charts
