"""Estimands as points of a figure: which are drawn, under which status, and what their tooltips say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow
from bytegap.report.figures.frame import Frame
from bytegap.report.inputs import Inputs
from bytegap.schema.fit import Estimand

EstimandName = Literal["overhead", "interaction", "gap"]

AXIS_TITLES: dict[EstimandName, str] = {
    "overhead": "overhead k",
    "interaction": "interaction, difference of ln k",
    "gap": "gap, BPB",
}
NEUTRAL: dict[EstimandName, float] = {"overhead": 1.0, "interaction": 0.0, "gap": 0.0}
"""The value at which an estimand shows no difference."""
TOOLTIPS = (
    ("objective", "objective"),
    ("pair", "arms"),
    ("evaluated_at", "evaluated"),
    ("value_text", "value"),
    ("label", "status"),
    ("form", "form of frontier"),
)
# Marker shapes by status; a censored estimand is a bound.
_SHAPES = {
    "estimated": "circle",
    "lower bound": "triangle-up",
    "upper bound": "triangle-down",
    "extrapolated": "diamond",
}
_SIDEWAYS = {"triangle-up": "triangle-right", "triangle-down": "triangle-left"}


@dataclass(frozen=True)
class Point:
    """An estimand that has a value, and what its marker needs."""

    estimand: Estimand
    preferred: bool
    """Whether it is drawn opaque: of the form of frontier that its arms' headline uses, or of none."""
    loss_unit: str = "BPB"

    @property
    def status(self) -> str:
        """A key of _SHAPES."""
        if self.estimand.label != "censored":
            return self.estimand.label
        return "upper bound" if self.estimand.bound == "<" else "lower bound"

    @property
    def value(self) -> float:
        """The value or bound."""
        assert self.estimand.quantity.value is not None
        return self.estimand.quantity.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval; None of a bound."""
        return fmt.shown_quantity(self.estimand).ci95

    @property
    def value_text(self) -> str:
        """The value or bound with its interval."""
        formatter = fmt.ESTIMAND_FORMATTERS[self.estimand.name]
        return (
            f"{fmt.value_or_bound(self.estimand)} {fmt.interval(fmt.shown_quantity(self.estimand), formatter)}".strip()
        )

    def row(self, frame: Frame) -> dict[str, str | float | Sequence[str] | None]:
        """The data that the chart holds: the value, and the part of the interval that lies within the frame."""
        item = self.estimand
        row: dict[str, str | float | Sequence[str] | None] = {
            "at": item.at_flops if item.name == "gap" else item.at_bpb,
            "value": self.value,
            "objective": item.objective,
            "arms": list(item.arms),
            "pair": " / ".join(item.arms),
            "form": item.form,
            "preferred": self.preferred,
            "status": self.status,
            "label": item.label,
            "evaluated_at": fmt.evaluated_at(item, self.loss_unit),
            "value_text": self.value_text,
        }
        if part := frame.part(self.interval):
            row["low"], row["high"] = part
        return row


def framed(points: Sequence[Point], neutral: float, *, log: bool) -> Frame:
    """The value axis for all that is estimated or bounded, with its intervals; for all values if nothing is."""
    observed = [
        value for point in points if point.status != "extrapolated" for value in (point.value, *(point.interval or ()))
    ]
    return Frame.around([neutral, *(observed or [point.value for point in points])], log=log)


def with_interval(rows: Sequence[DataRow]) -> list[DataRow]:
    """The rows of which some part of the interval is drawn."""
    return [row for row in rows if "low" in row]


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


def preferred_forms(forms: Sequence[str], items: Sequence[Estimand]) -> dict[tuple[str, ...], str]:
    """For each group of arms, the first of `forms` that it has estimands for.

    Not every form can be fitted to every arm: an arm with a permutation may lack the form of the headline.
    """
    rank = {form: number for number, form in enumerate(forms)}
    preferred: dict[tuple[str, ...], str] = {}
    for item in sorted(items, key=lambda item: rank.get(item.form, len(rank))):
        preferred.setdefault(tuple(item.arms), item.form)
    return preferred


def status_shape(points: Sequence[Point], *, sideways: bool = False) -> alt.Shape:
    """The channel of marker shapes, with a legend where there are several.

    `sideways`: values rise to the right, so that bounds point right and left.
    """
    known = [status for status in _SHAPES if any(point.status == status for point in points)]
    shapes = [_SHAPES[status] for status in known]
    if sideways:
        shapes = [_SIDEWAYS.get(shape, shape) for shape in shapes]
    shape = alt.Shape("status:N", title="status").scale(domain=known, range=shapes)
    return shape if len(known) > 1 else shape.legend(None)
