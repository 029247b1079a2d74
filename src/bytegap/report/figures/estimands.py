"""Figures of the estimands: overhead and interaction against loss, gap against compute, headlines side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import (
    Figure,
    flops_axis,
    inline,
    tooltips,
    with_data,
    with_legend_filter,
)
from bytegap.report.inputs import Inputs
from bytegap.schema.fit import Estimand

EstimandName = Literal["overhead", "interaction", "gap"]

HEIGHT = 240
_ROW_HEIGHT = 26
_MIN_ROWS = 3
# Marker shapes by status; a censored estimand is a bound.
_SHAPES = {
    "estimated": "circle",
    "lower bound": "triangle-up",
    "upper bound": "triangle-down",
    "extrapolated": "diamond",
}
_TOOLTIPS = (
    ("objective", "objective"),
    ("pair", "arms"),
    ("evaluated_at", "evaluated"),
    ("value_text", "value"),
    ("label", "status"),
    ("form", "form of frontier"),
)
_CAPTIONS: dict[EstimandName, str] = {
    "overhead": (
        "Compute overhead k: training compute of the byte arm over that of the subword arm at equal loss. Loss "
        "decreases to the right."
    ),
    "interaction": (
        "Difference of ln k between two objectives, or between a permutation and the identity, at equal loss: the "
        "first minus the second. Where it is positive, bytes cost the first more."
    ),
    "gap": "Bits per byte of the byte arm minus those of the subword arm at equal training compute.",
}
_AXIS_TITLES: dict[EstimandName, str] = {
    "overhead": "overhead k",
    "interaction": "interaction, difference of ln k",
    "gap": "gap, BPB",
}
_LEGEND = (
    "Bars: 95 % CI. Filled circles are estimates, triangles bounds (censored), hollow diamonds extrapolations, which "
    "are never headlined."
)
# The value at which an estimand shows no difference, and its name.
_NEUTRAL: dict[EstimandName, tuple[float, str]] = {
    "overhead": (1.0, "parity"),
    "interaction": (0.0, "no interaction"),
    "gap": (0.0, "no gap"),
}


def drawn_estimands(inputs: Inputs, name: EstimandName) -> list[Estimand]:
    """The estimands of one name that have a value and a position on the axis of that figure.

    An overhead at equal compute has both a loss and a compute; it is secondary and only in the table.
    """

    def is_on_axis(item: Estimand) -> bool:
        return item.at_flops is not None if name == "gap" else item.at_bpb is not None and item.at_flops is None

    return [
        item
        for item in inputs.fit.estimands
        if item.name == name and item.quantity.value is not None and is_on_axis(item)
    ]


def objectives(inputs: Inputs) -> list[str]:
    """The objectives of all estimands, in the order of fit.json."""
    return list(dict.fromkeys(item.objective for item in inputs.fit.estimands))


def figure(inputs: Inputs, name: EstimandName) -> Figure | None:
    """The figure of one estimand; None if fit.json has none to draw."""
    items = drawn_estimands(inputs, name)
    if not items:
        return None
    preferred = inputs.forms[0] if inputs.forms else items[0].form
    points = _points(inputs, items)
    selection = alt.selection_point(name="objective", fields=["objective"], bind="legend", toggle="true")
    layers = with_data(*_neutral_line(name), *_layers(inputs, name, points, selection))
    others = [form for form in inputs.forms if form != preferred]
    faint = f" Opaque: {preferred}, for arms that have it; faint: {', '.join(others)}." if others else ""
    full_name = fmt.ESTIMAND_NAMES[name]
    return Figure(
        name=name,
        title=full_name[0].upper() + full_name[1:],
        caption=f"{_CAPTIONS[name]} {_LEGEND}{faint}",
        alt=f"{len(items)} values of {full_name}; {_ends_in_words(points)}. The table of estimands holds all.",
        source="../fit.json",
        chart=with_legend_filter(layers, selection).properties(width=640, height=HEIGHT, name=name),
        columns=1,
        palette="objectives",
        tables=("estimands",),
    )


@dataclass(frozen=True)
class _Point:
    """An estimand and what its marker needs."""

    estimand: Estimand
    preferred: bool
    """Whether it is drawn opaque: of the form of frontier that its arms' headline uses, or of none."""

    @property
    def status(self) -> str:
        """A key of _SHAPES."""
        if self.estimand.label != "censored":
            return self.estimand.label
        return "upper bound" if self.estimand.bound == "<" else "lower bound"

    @property
    def value_text(self) -> str:
        """The value or bound with its interval."""
        formatter = fmt.ESTIMAND_FORMATTERS[self.estimand.name]
        return f"{fmt.value_or_bound(self.estimand)} {fmt.interval(self.estimand.quantity, formatter)}".strip()

    def row(self) -> dict[str, str | float | Sequence[str] | None]:
        """The data that the chart holds."""
        item = self.estimand
        row: dict[str, str | float | Sequence[str] | None] = {
            "at": item.at_flops if item.name == "gap" else item.at_bpb,
            "value": item.quantity.value,
            "objective": item.objective,
            "arms": list(item.arms),
            "pair": " / ".join(item.arms),
            "form": item.form,
            "preferred": self.preferred,
            "status": self.status,
            "label": item.label,
            "evaluated_at": fmt.evaluated_at(item),
            "value_text": self.value_text,
        }
        if item.quantity.ci95:
            row["low"], row["high"] = item.quantity.ci95
        return row


def _points(inputs: Inputs, items: Sequence[Estimand]) -> list[_Point]:
    preferred = preferred_forms(inputs.forms, items)
    return [_Point(item, item.form in {preferred[tuple(item.arms)], "minima"}) for item in items]


def preferred_forms(forms: Sequence[str], items: Sequence[Estimand]) -> dict[tuple[str, ...], str]:
    """For each group of arms, the first of `forms` that it has estimands for.

    Not every form can be fitted to every arm: an arm with a permutation may lack the form of the headline.
    """
    rank = {form: number for number, form in enumerate(forms)}
    preferred: dict[tuple[str, ...], str] = {}
    for item in sorted(items, key=lambda item: rank.get(item.form, len(rank))):
        preferred.setdefault(tuple(item.arms), item.form)
    return preferred


def _layers(inputs: Inputs, name: EstimandName, points: list[_Point], selection: alt.Parameter) -> list[alt.Chart]:
    """Lines through the estimates, intervals, and markers by status."""
    opacity = (
        alt.when(selection, alt.datum.preferred)
        .then(alt.value(1))
        .when(selection)
        .then(alt.value(0.35))
        .otherwise(alt.value(0.05))
    )
    shown = [key for key in objectives(inputs) if any(point.estimand.objective == key for point in points)]
    # A colour stands for one objective in every figure: the domain is all objectives, also where few are shown.
    colour = alt.Color("objective:N", title="objective").scale(domain=objectives(inputs))
    colour = colour.legend(values=shown) if len(shown) > 1 else colour.legend(None)
    x, y = _x(inputs, name), _y(name)
    line: alt.typing.EncodeKwds = {"x": x, "y": y, "color": colour, "opacity": opacity, "detail": "form:N"}
    ends: alt.typing.EncodeKwds = {**line, "y": alt.Y("low:Q"), "y2": "high:Q"}
    marker: alt.typing.EncodeKwds = {**line, "shape": _status_shape(points), "tooltip": tooltips(*_TOOLTIPS)}

    estimated = [point.row() for point in points if point.status == "estimated"]
    with_interval = [point.row() for point in points if point.estimand.quantity.ci95]
    observed = [point.row() for point in points if point.status != "extrapolated"]
    extrapolated = [point.row() for point in points if point.status == "extrapolated"]
    return [
        alt.Chart(inline(estimated)).mark_line(strokeWidth=1.5).encode(**line),
        alt.Chart(inline(with_interval)).mark_rule(strokeWidth=1.2).encode(**ends),
        alt.Chart(inline(observed)).mark_point(filled=True, size=64).encode(**marker),
        alt.Chart(inline(extrapolated)).mark_point(filled=False, size=54).encode(**marker),
    ]


def _x(inputs: Inputs, name: EstimandName) -> alt.X:
    if name == "gap":
        return alt.X("at:Q").scale(type="log", nice=False, padding=16).axis(flops_axis(inputs))
    x = alt.X("at:Q", title="loss, bits per byte").scale(reverse=True, zero=False, padding=16)
    return x.axis(tickCount=6, labelOverlap="greedy")


def _y(name: EstimandName) -> alt.Y:
    y = alt.Y("value:Q", title=_AXIS_TITLES[name])
    y = y.scale(type="log", nice=False, padding=8) if name == "overhead" else y.scale(zero=False)
    return y.axis(labelOverlap="greedy", tickCount=6)


def _status_shape(points: Sequence[_Point]) -> alt.Shape:
    """The channel of marker shapes, with a legend where there are several."""
    known = [status for status in _SHAPES if any(point.status == status for point in points)]
    shape = alt.Shape("status:N", title="status").scale(domain=known, range=[_SHAPES[status] for status in known])
    return shape if len(known) > 1 else shape.legend(None)


def _neutral_line(name: EstimandName) -> list[alt.Chart]:
    value, label = _NEUTRAL[name]
    chart = alt.Chart(inline([{"value": value, "label": label}]))
    return [
        chart.mark_rule(style="neutral", strokeDash=[2, 2]).encode(y="value:Q"),
        chart.mark_text(style="note", align="left", baseline="bottom", dx=4, dy=-2).encode(
            y="value:Q", x=alt.value(0), text="label:N"
        ),
    ]


def _ends_in_words(points: Sequence[_Point]) -> str:
    """The first and last opaque value of each objective, as text."""
    by_objective: dict[str, list[_Point]] = {}
    for point in points:
        if point.preferred:
            by_objective.setdefault(point.estimand.objective, []).append(point)
    return "; ".join(
        f"{objective} from {own[0].value_text} {fmt.evaluated_at(own[0].estimand)} "
        f"to {own[-1].value_text} {fmt.evaluated_at(own[-1].estimand)}"
        for objective, own in by_objective.items()
    )


def side_by_side(inputs: Inputs) -> list[Figure]:
    """All headline overheads in one figure, and all gaps between IsoFLOP minima; each only where there are several."""
    overheads = [item for item in inputs.fit.estimands if item.headline and item.name == "overhead"]
    between_minima = [item for item in drawn_estimands(inputs, "gap") if item.form == "minima"]
    at_largest_budget = {(item.objective, *item.arms): item for item in between_minima}  # budgets ascend
    vocab_sizes = {baseline.tokenizer: baseline.vocab_size for baseline in inputs.fit.ngram_baselines}
    gaps = sorted(
        at_largest_budget.values(),
        key=lambda gap: (gap.objective, vocab_sizes.get(inputs.traits(gap.arms[1]).tokenizer, 0)),
    )
    figures = [
        _side_by_side(
            inputs,
            overheads,
            "overhead",
            caption=(
                "The headline overhead of bytes over each tokenizer under each objective and permutation, each at the "
                "loss given in the table of estimands. Bars: 95 % CI; triangles are bounds."
            ),
        ),
        _side_by_side(
            inputs,
            gaps,
            "gap",
            caption=(
                "Bits per byte of the byte arm's IsoFLOP minimum minus those of each subword arm's, at the largest "
                "budget that has both, for pairs in which an arm has no frontier. Bars: 95 % CI."
            ),
        ),
    ]
    return [figure for figure in figures if figure]


def _side_by_side(inputs: Inputs, items: list[Estimand], estimand: EstimandName, caption: str) -> Figure | None:
    """One row per estimand; None where there are fewer than three."""
    if len(items) < _MIN_ROWS:
        return None
    labels = [f"{item.objective}, {inputs.traits(item.arms[1]).tokenizer}" for item in items]
    points = [_Point(item, preferred=True) for item in items]
    rows = [point.row() | {"baseline": label} for point, label in zip(points, labels, strict=True)]
    y = alt.Y("baseline:N", title=None, sort=labels).axis(labelLimit=260)
    x_scale = (
        alt.Scale(type="log", nice=False, padding=16) if estimand == "overhead" else alt.Scale(zero=False, padding=16)
    )
    colour = alt.Color("objective:N", scale=alt.Scale(domain=objectives(inputs)), legend=None)
    neutral = alt.Chart(inline([{"value": _NEUTRAL[estimand][0]}]))
    layers = with_data(
        neutral.mark_rule(style="neutral", strokeDash=[2, 2]).encode(x=alt.X("value:Q", scale=x_scale)),
        alt.Chart(inline(row for row in rows if "low" in row))
        .mark_rule(strokeWidth=1.2)
        .encode(x=alt.X("low:Q", scale=x_scale), x2="high:Q", y=y, color=colour),
        alt.Chart(inline(rows))
        .mark_point(filled=True, size=64)
        .encode(
            x=alt.X("value:Q", title=_AXIS_TITLES[estimand], scale=x_scale),
            y=y,
            color=colour,
            shape=_status_shape(points),
            tooltip=tooltips(*_TOOLTIPS, ("baseline", "compared with")),
        ),
    )
    return Figure(
        name=f"{estimand}s",
        title=f"{estimand.capitalize()}s side by side",
        caption=caption,
        alt=f"{len(items)} values of {fmt.ESTIMAND_NAMES[estimand]}; the table of estimands holds the same numbers.",
        source="../fit.json",
        chart=alt.layer(*layers).properties(width=520, height=_ROW_HEIGHT * len(rows), name=f"{estimand}s"),
        columns=1,
        palette="objectives",
        tables=("estimands",),
    )
