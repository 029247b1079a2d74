"""Another study's frontiers in the frontier figure: `[report] compare_to`."""

from typing import NamedTuple

import altair as alt

from bytegap.report.figures.base import inline
from bytegap.report.inputs import forms_of
from bytegap.schema.fit import Fit

_NAME_LIMIT = 110  # pixels of a name at the end of a line


def preferred_curves(fit: Fit) -> list[tuple[str, tuple[tuple[float, float, float, float], ...]]]:
    """Pairs (arm, curve) of the frontiers in the form that a fit's headlines use."""
    forms = forms_of(fit)[:1]
    return [(frontier.arm, frontier.curve) for frontier in fit.frontiers if frontier.form in forms and frontier.curve]


class End(NamedTuple):
    """Where a frontier of the reference study ends."""

    arm: str
    flops: float
    bpb: float
    is_right: bool
    """Whether it ends in the right half of all of them, so that its name has room to its left."""


def ends(fit: Fit) -> list[End]:
    """Where the frontiers end."""
    curves = preferred_curves(fit)
    all_flops = [point[0] for _, curve in curves for point in curve]
    return [
        End(arm, curve[-1][0], curve[-1][1], curve[-1][0] ** 2 > min(all_flops) * max(all_flops))
        for arm, curve in curves
    ]


def curves(fit: Fit) -> alt.Chart:
    """The frontiers."""
    points = inline(
        {"reference_arm": arm, "C": c, "bpb": bpb} for arm, curve in preferred_curves(fit) for c, bpb, *_ in curve
    )
    lines = alt.Chart(points).mark_line(style="baseline", strokeDash=[7, 3, 1, 3])
    return lines.encode(x="C:Q", y="bpb:Q", detail="reference_arm:N", tooltip="reference_arm:N")


def name(end: End, y: float) -> alt.Chart:
    """The name of a frontier at its end, `y` pixels from the top."""
    text = alt.Chart(inline([{"reference_arm": end.arm, "C": end.flops}])).mark_text(
        style="baseline-name", align="right" if end.is_right else "left", baseline="middle", limit=_NAME_LIMIT
    )
    return text.encode(x="C:Q", y=alt.value(y), text="reference_arm:N")
