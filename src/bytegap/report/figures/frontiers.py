"""The compute-optimal frontiers: bits per byte against training compute, with baselines that need no training.

The chart rearranges fit.json.
"""

from typing import NamedTuple

import altair as alt
from altair.typing import ChartType

from bytegap.report import format as fmt
from bytegap.report.figures import compressors
from bytegap.report.figures import reference as reference_lines
from bytegap.report.figures.base import (
    Alternative,
    DataRow,
    Figure,
    flops_axis,
    inline,
    minimum_row,
    tooltips,
    with_data,
    with_legend_filter,
)
from bytegap.report.figures.frame import Frame
from bytegap.report.figures.labels import least_height, line_name, placed
from bytegap.report.inputs import Inputs, ReferenceStudy
from bytegap.schema.fit import Cell

_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"]
_MINIMUM_TOOLTIPS = (
    ("arm", "arm"),
    ("budget", "budget"),
    ("N_text", "optimal N"),
    ("D_text", "optimal D, tokens"),
)


def figure(inputs: Inputs, *, width: int = 640, height: int = 380) -> Figure | None:
    """Every arm's IsoFLOP minima and its frontier with its 95 % band; None if there is no minimum."""
    used = [_minimum(cell) for cell in inputs.cells if cell.in_frontier and cell.optimum_bpb.value]
    excluded = [_minimum(cell) for cell in inputs.cells if not cell.in_frontier and cell.optimum_bpb.value]
    if not used and not excluded:
        return None

    def chart(reference: ReferenceStudy | None) -> ChartType:
        return _chart(inputs, _Minima(used, excluded), reference, height).properties(width=width)

    arms = ", ".join(inputs.drawn_arms)
    reference = inputs.reference
    return Figure(
        name="frontiers",
        title="Compute-optimal frontiers",
        caption=_caption(inputs),
        alt=f"Line chart of {inputs.loss_name} against FLOPs for {arms}; the table of cells holds the minima.",
        source="../fit.json",
        chart=chart(None),
        columns=1,
        palette="arms",
        tables=("cells", "frontiers"),
        alternative=Alternative(f"Also draw the frontiers of {reference.name}", chart(reference))
        if reference
        else None,
    )


class _Minima(NamedTuple):
    """Rows of the IsoFLOP minima."""

    used: list[DataRow]
    excluded: list[DataRow]


def _chart(
    inputs: Inputs, minima: _Minima, reference: ReferenceStudy | None, height: int
) -> alt.LayerChart | alt.FacetChart:
    """The chart, with the frontiers of another study if there is one."""
    selection = alt.selection_point(name="arm", fields=["arm"], bind="legend", toggle="true")
    lines = _baselines(inputs).drawn
    ends = reference_lines.ends(reference.fit) if reference else []
    height = max(height, least_height(len(lines) + len(ends)))
    frame = _frame(inputs, reference)
    names = placed([value for _, value in lines] + [end.bpb for end in ends], frame, height)
    rules = [_rule(name, bpb) for name, bpb in lines]
    texts = [line_name(f"{name} {bpb:.2f}", y) for (name, bpb), y in zip(lines, names, strict=False)]
    if reference:
        rules.append(reference_lines.curves(reference.fit))
        texts += [reference_lines.name(end, y) for end, y in zip(ends, names[len(lines) :], strict=True)]
    # Names are drawn over curves; the last layer is one that the legend describes.
    *under, last = with_data(*_arm_layers(inputs, minima, frame, selection))
    layers = [*rules, *under, *texts, last]
    return with_legend_filter(layers, selection).properties(height=height, name="frontiers")


class _Baselines(NamedTuple):
    """Pairs (name, BPB) of n-gram models and compressors."""

    drawn: list[tuple[str, float]]
    outside: list[tuple[str, float]]
    """Left out of the figure: an axis that reached them would leave little height to the frontiers."""


def _baselines(inputs: Inputs) -> _Baselines:
    """The n-gram models and compressors within the frame of the frontiers, and the others by falling BPB."""
    frame = _frame(inputs, None)
    lines = [*_ngram_lines(inputs), *compressors.bpb_lines(inputs)]
    outside = sorted((line for line in lines if not frame.contains(line[1])), key=lambda line: -line[1])
    return _Baselines([line for line in lines if frame.contains(line[1])], outside)


def _frame(inputs: Inputs, reference: ReferenceStudy | None) -> Frame:
    """The loss axis: all minima and frontiers with their intervals."""
    minima = [cell.optimum_bpb.value for cell in inputs.cells if cell.optimum_bpb.value]
    bars = [end for cell in inputs.cells if cell.in_frontier for end in cell.optimum_bpb.ci95 or ()]
    curves = [bpb for frontier in inputs.fit.frontiers for _, *ends in frontier.curve for bpb in ends]
    if reference:
        curves += [bpb for _, curve in reference_lines.preferred_curves(reference.fit) for _, bpb, *_ in curve]
    return Frame.around([*minima, *bars, *curves])


_UNIGRAM, _BIGRAM = "unigram", "bigram"
_DASHES = {_UNIGRAM: [1, 3], _BIGRAM: [6, 4]}
_OTHER_DASH = [2, 2, 8, 2]


def _caption(inputs: Inputs) -> str:
    forms = f"Solid: {inputs.forms[0]}" if inputs.forms else "No arm has a frontier"
    if len(inputs.forms) > 1:
        forms += f"; thin dashes: {', '.join(inputs.forms[1:])}"
    reference = ""
    if inputs.reference:
        reference = (
            f" Grey, dash-dotted if switched on: the frontiers of {inputs.reference.name}, on that study's text."
        )
    return (
        f"IsoFLOP minimum of {inputs.loss_name} of each arm at each budget, with the fitted {fmt.FRONTIER_LAW} and its "
        f"95 % band. {forms}. Hollow points are cells excluded from the fits.{_baselines_in_words(inputs)}{reference} "
        "Click an arm in the legend to highlight it, more to add them, double-click to reset."
    )


def _baselines_in_words(inputs: Inputs) -> str:
    """Sentences on the n-gram models and compressors: what those drawn are, and the BPB of those that are not."""
    drawn, outside = _baselines(inputs)
    kinds = {_is_ngram(name) for name, _ in drawn}
    words = ""
    if True in kinds:
        words += " Grey horizontal lines are n-gram models of a tokenizer's tokens, on the same test text."
    if False in kinds:
        words += " Grey lines of compressors: each test window packed by itself, primed with training text."
    if outside:
        listed = "; ".join(f"{name} {bpb:.2f}" for name, bpb in outside)
        words += f" Outside the frame, in BPB of the same test text: {listed}."
    return words


def _arm_layers(inputs: Inputs, minima: _Minima, frame: Frame, selection: alt.Parameter) -> list[alt.Chart]:
    """Bands, curves and minima of all arms."""
    arms = inputs.drawn_arms
    opacity = alt.when(selection).then(alt.value(1)).otherwise(alt.value(0.06))
    band_opacity = alt.when(selection).then(alt.value(0.2)).otherwise(alt.value(0))
    colour = alt.Color("arm:N", title="arm").scale(domain=arms)
    shape = alt.Shape("arm:N", title="arm").scale(
        domain=arms, range=_SHAPES[: len(arms)] if len(arms) <= len(_SHAPES) else alt.Undefined
    )
    x = (
        alt.X("C:Q")
        .scale(type="log", nice=False, padding=16)
        .axis(flops_axis(inputs, [cell.budget_flops for cell in inputs.cells]))
    )
    y = alt.Y("bpb:Q", title=inputs.loss_name, scale=frame.scale()).axis(tickCount=8)
    line: alt.typing.EncodeKwds = {"x": x, "y": y, "color": colour, "opacity": opacity}
    interval: alt.typing.EncodeKwds = {**line, "y": alt.Y("low:Q"), "y2": "high:Q"}
    band: alt.typing.EncodeKwds = {**interval, "opacity": band_opacity}
    by_form: alt.typing.EncodeKwds = {**line, "detail": "form:N"}
    point: alt.typing.EncodeKwds = {
        **line,
        "shape": shape,
        "tooltip": tooltips(*_MINIMUM_TOOLTIPS, ("bpb_text", inputs.loss_unit), ("note", "note")),
    }

    preferred = inline(_curves(inputs, inputs.forms[:1]))
    others = inline(_curves(inputs, inputs.forms[1:]))
    return [
        alt.Chart(preferred).mark_area().encode(**band),
        alt.Chart(others).mark_line(strokeWidth=1, strokeDash=[5, 3]).encode(**by_form),
        alt.Chart(preferred).mark_line(strokeWidth=2).encode(**line),
        alt.Chart(inline(minima.used)).mark_rule(strokeWidth=1.2).encode(**interval),
        alt.Chart(inline(minima.used)).mark_point(filled=True, size=60).encode(**point),
        alt.Chart(inline(minima.excluded)).mark_point(filled=False, size=60).encode(**point),
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


def _is_ngram(name: str) -> bool:
    return name.endswith((f" {_UNIGRAM}", f" {_BIGRAM}"))


def _ngram_lines(inputs: Inputs) -> list[tuple[str, float]]:
    """Pairs (name, BPB) of the unigram and the bigram of every tokenizer."""
    return [
        (f"{baseline.tokenizer} {name}", bpb)
        for baseline in inputs.fit.ngram_baselines
        for name, bpb in ((_UNIGRAM, baseline.unigram_bpb), (_BIGRAM, baseline.bigram_bpb))
    ]


def _rule(name: str, bpb: float) -> alt.Chart:
    """The line of an n-gram model or compressor."""
    chart = alt.Chart(inline([{"bpb": bpb, "label": f"{name} {bpb:.2f}"}]))
    dash = _DASHES.get(name.rpartition(" ")[2], _OTHER_DASH)
    return chart.mark_rule(style="baseline", strokeDash=dash).encode(y="bpb:Q", tooltip="label:N")
