"""Figures of the estimands: overhead and interaction against loss, gap against compute.

One panel per subword tokenizer. The value axis spans what is estimated or bounded; extrapolations are cut off at the
frame and marked there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
from altair.typing import ChartType

from bytegap.report import format as fmt
from bytegap.report.figures.base import (
    DataRow,
    Figure,
    flops_axis,
    inline,
    panels,
    tooltips,
    with_data,
    with_legend_filter,
)
from bytegap.report.figures.estimand_points import (
    AXIS_TITLES,
    NEUTRAL,
    TOOLTIPS,
    EstimandName,
    Point,
    drawn_estimands,
    framed,
    objectives,
    preferred_forms,
    status_shape,
    with_interval,
)
from bytegap.report.figures.frame import Frame
from bytegap.report.inputs import Inputs

_WIDTH, _PANEL_WIDTH, _HEIGHT = 640, 300, 240
_COLUMNS = 2
_ARROW_SHIFT = 8  # pixels between the frame and the middle of an arrow at it
_CAPTIONS: dict[EstimandName, str] = {
    "overhead": (
        "Compute overhead k: training compute of the byte arm over that of the subword arm at equal loss. Loss "
        "decreases to the right. Dashed: parity, k = 1."
    ),
    "interaction": (
        "Difference of ln k between two objectives, or between a permutation and the identity, at equal loss: the "
        "first minus the second. Where it is positive, bytes cost the first more. Dashed: no interaction."
    ),
    "gap": "Loss of the byte arm minus that of the subword arm at equal training compute. Dashed: no gap.",
}
_LEGEND = (
    "Bars: 95 % CI. Filled circles are estimates. Triangles are bounds (censored) and point to the side of the true "
    "value. Hollow diamonds are extrapolations, which are never headlined."
)
_CLIPPED = (
    " The axis spans what is estimated or bounded; an arrow at the frame marks an extrapolation that continues beyond."
)


@dataclass(frozen=True)
class _Channels:
    """The encodings that all panels of a figure have in common."""

    x: alt.X
    y: alt.Y
    colour: alt.Color
    shape: alt.Shape
    selection: alt.Parameter

    def line(self) -> alt.typing.EncodeKwds:
        """Position, colour and opacity; lines join the estimates of one pair and form."""
        opacity = (
            alt.when(self.selection, alt.datum.preferred)
            .then(alt.value(1))
            .when(self.selection)
            .then(alt.value(0.35))
            .otherwise(alt.value(0.05))
        )
        return {"x": self.x, "y": self.y, "color": self.colour, "opacity": opacity, "detail": ["form:N", "pair:N"]}


def figure(inputs: Inputs, name: EstimandName) -> Figure | None:
    """The figure of one estimand; None if fit.json has none to draw."""
    items = drawn_estimands(inputs, name)
    if not items:
        return None
    preferred = preferred_forms(inputs.forms, items)
    points = [Point(item, item.form in {preferred[tuple(item.arms)], "minima"}, inputs.loss_unit) for item in items]
    frame = framed(points, NEUTRAL[name], log=name == "overhead")
    by_tokenizer: dict[str, list[Point]] = {}
    for point in points:
        by_tokenizer.setdefault(inputs.traits(point.estimand.arms[1]).tokenizer, []).append(point)
    is_clipped = any(any(frame.beyond(point.value, point.interval)) for point in points)
    first = inputs.forms[0] if inputs.forms else items[0].form
    others = [form for form in inputs.forms if form != first]
    faint = f" Opaque: {first}, for arms that have it; faint: {', '.join(others)}." if others else ""
    full_name = fmt.ESTIMAND_NAMES[name]
    return Figure(
        name=name,
        title=full_name[0].upper() + full_name[1:],
        caption=f"{_CAPTIONS[name]} {_LEGEND}{_CLIPPED if is_clipped else ''}{faint}",
        alt=f"{len(items)} values of {full_name}; {_ends_in_words(points)}. The table of estimands holds all.",
        source="../fit.json",
        chart=_chart(name, by_tokenizer, _channels(inputs, name, points, frame), frame),
        columns=min(len(by_tokenizer), _COLUMNS),
        palette="objectives",
        tables=("estimands",),
    )


def _channels(inputs: Inputs, name: EstimandName, points: Sequence[Point], frame: Frame) -> _Channels:
    shown = [key for key in objectives(inputs) if any(point.estimand.objective == key for point in points)]
    # A colour stands for one objective in every figure: the domain is all objectives, also where few are shown.
    colour = alt.Color("objective:N", title="objective").scale(domain=objectives(inputs))
    y = alt.Y("value:Q", title=_axis_title(inputs, name), scale=frame.scale(log=name == "overhead"))
    return _Channels(
        x=_x(inputs, name, points),
        y=y.axis(labelOverlap="greedy", tickCount=6),
        colour=colour.legend(values=shown) if len(shown) > 1 else colour.legend(None),
        shape=status_shape(points),
        selection=alt.selection_point(name="objective", fields=["objective"], bind="legend", toggle="true"),
    )


def _axis_title(inputs: Inputs, name: EstimandName) -> str:
    return f"gap, {inputs.loss_unit}" if name == "gap" else AXIS_TITLES[name]


def _x(inputs: Inputs, name: EstimandName, points: Sequence[Point]) -> alt.X:
    if name == "gap":
        return (
            alt.X("at:Q")
            .scale(type="log", nice=False, padding=16)
            .axis(flops_axis(inputs, [point.estimand.at_flops for point in points if point.estimand.at_flops]))
        )
    x = alt.X("at:Q", title=f"loss, {inputs.loss_name}" if inputs.loss_name != "loss" else "loss").scale(
        reverse=True, zero=False, nice=False, padding=16
    )
    return x.axis(tickCount=6, labelOverlap="greedy")


def _chart(name: EstimandName, by_tokenizer: dict[str, list[Point]], channels: _Channels, frame: Frame) -> ChartType:
    """One layered chart, or one panel per tokenizer with common axes, legends and filter."""
    neutral = alt.Chart(inline([{"value": NEUTRAL[name]}])).mark_rule(style="neutral", strokeDash=[2, 2])
    layers = [
        with_data(neutral.encode(y=channels.y), *_layers(points, channels, frame)) for points in by_tokenizer.values()
    ]
    if len(layers) == 1:
        chart = with_legend_filter(layers[0], channels.selection)
        return chart.properties(width=_WIDTH, height=_HEIGHT, name=name)
    charts = [
        alt.layer(*own).properties(title=f"bytes over {tokenizer}", width=_PANEL_WIDTH, height=_HEIGHT)
        for tokenizer, own in zip(by_tokenizer, layers, strict=True)
    ]
    named = [chart.properties(name=f"{name}{number}") for number, chart in enumerate(charts)]
    return panels(named, _COLUMNS, channels.selection)


def _layers(points: Sequence[Point], channels: _Channels, frame: Frame) -> list[alt.Chart]:
    """Lines through the estimates, intervals, markers by status, and arrows where something continues."""
    line = channels.line()
    ends: alt.typing.EncodeKwds = {**line, "y": alt.Y("low:Q"), "y2": "high:Q"}
    marker: alt.typing.EncodeKwds = {**line, "shape": channels.shape, "tooltip": tooltips(*TOOLTIPS)}
    arrow: alt.typing.EncodeKwds = {**line, "tooltip": tooltips(*TOOLTIPS)}

    rows = [(point.status, point.row(frame)) for point in points]
    inside = [(point.status, point.row(frame)) for point in points if frame.contains(point.value)]
    below, above = _continuing(points, frame)
    return [
        alt.Chart(inline(row for status, row in inside if status == "estimated"))
        .mark_line(strokeWidth=1.5)
        .encode(**line),
        alt.Chart(inline(with_interval([row for _, row in rows]))).mark_rule(strokeWidth=1.2).encode(**ends),
        _arrows(below, angle=180, shift=-_ARROW_SHIFT).encode(**arrow),
        _arrows(above, angle=0, shift=_ARROW_SHIFT).encode(**arrow),
        alt.Chart(inline(row for status, row in inside if status != "extrapolated"))
        .mark_point(filled=True, size=64)
        .encode(**marker),
        alt.Chart(inline(row for status, row in inside if status == "extrapolated"))
        .mark_point(filled=False, size=54)
        .encode(**marker),
    ]


def _arrows(rows: Sequence[DataRow], angle: int, shift: int) -> alt.Chart:
    """Arrows that point up, turned by `angle` degrees and moved down by `shift` pixels."""
    chart = alt.Chart(inline(rows))
    return chart.mark_point(shape="arrow", filled=True, size=220, strokeWidth=1, angle=angle, yOffset=shift)


def _continuing(points: Sequence[Point], frame: Frame) -> tuple[list[DataRow], list[DataRow]]:
    """Rows of arrows at the lower and at the upper end of the frame."""
    below: list[DataRow] = []
    above: list[DataRow] = []
    for point in points:
        is_below, is_above = frame.beyond(point.value, point.interval)
        if is_below:
            below.append(point.row(frame) | {"value": frame.low})
        if is_above:
            above.append(point.row(frame) | {"value": frame.high})
    return below, above


def _ends_in_words(points: Sequence[Point]) -> str:
    """The first and last opaque value of each objective, as text."""
    by_objective: dict[str, list[Point]] = {}
    for point in points:
        if point.preferred:
            by_objective.setdefault(point.estimand.objective, []).append(point)
    return "; ".join(
        f"{objective} from {own[0].value_text} {fmt.evaluated_at(own[0].estimand, own[0].loss_unit)} "
        f"to {own[-1].value_text} {fmt.evaluated_at(own[-1].estimand, own[-1].loss_unit)}"
        for objective, own in by_objective.items()
    )
