"""How much of an overhead each variant closes: one row per variant and what its overhead is over."""

from dataclasses import dataclass

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow, Figure, inline, tooltips, with_data
from bytegap.report.figures.frame import Frame
from bytegap.report.inputs import Inputs
from bytegap.schema.base import Quantity
from bytegap.schema.fit import GapClosed

_ROW_HEIGHT = 20
_LABEL_LIMIT = 260  # pixels
_SHAPES = {"": "circle", ">": "triangle-right", "<": "triangle-left"}
_TOOLTIPS = (
    ("variant", "variant"),
    ("plain", "of the overhead"),
    ("at_bpb", "at BPB"),
    ("closed_text", "closed"),
    ("executed_text", "by executed FLOPs"),
)


def figure(inputs: Inputs) -> Figure | None:
    """Each share that the study names, the largest first; None where none is known."""
    known = [
        _Share(found, found.closed.value)
        for found in inputs.fit.gaps_closed
        if found.closed is not None and found.closed.value is not None
    ]
    if not known:
        return None
    known.sort(key=lambda share: -share.closed)
    frame = Frame.around([0.0, 1.0, *(end for share in known for end in share.ends)])
    drawn = [share.row(frame) for share in known]
    y = alt.Y("pair:N", title=None, sort=[share.pair for share in known]).axis(grid=True, labelLimit=_LABEL_LIMIT)
    x = alt.X("x:Q", title="share of the overhead that is closed").scale(frame.scale())
    colour = alt.Color("arm:N", legend=None).scale(domain=inputs.drawn_arms)
    shape = alt.Shape("bound:N", legend=None).scale(domain=list(_SHAPES), range=list(_SHAPES.values()))
    layers = with_data(
        alt.Chart(inline([{"x": 0.0}, {"x": 1.0}])).mark_rule(style="neutral", strokeDash=[2, 2]).encode(x=x),
        alt.Chart(inline(row for row in drawn if "low" in row))
        .mark_rule(strokeWidth=1.2)
        .encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour),
        alt.Chart(inline(drawn))
        .mark_point(filled=True, size=64)
        .encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltips(*_TOOLTIPS)),
    )
    return Figure(
        name="gaps_closed",
        title="Gaps closed",
        caption=(
            "How much of the overhead of the plain arms each variant closes at a loss that all reach, "
            "1 - ln k(variant) / ln k(plain): nothing at the left dashed line, all of it at the right one. Bars: 95 % "
            "CI, covering all forms of the frontier. Triangles are bounds and point to the side of the true value."
        ),
        alt=f"{len(known)} shares; the table of gaps closed holds the same numbers.",
        source="../fit.json",
        chart=alt.layer(*layers).properties(width=520, height=_ROW_HEIGHT * len(known), name="gaps_closed"),
        columns=1,
        palette="arms",
        tables=("gaps_closed",),
    )


@dataclass(frozen=True)
class _Share:
    """A share that is known, or a bound of it."""

    found: GapClosed
    closed: float

    @property
    def ends(self) -> tuple[float, ...]:
        """Of its interval; of a bound, the bound."""
        return (self.closed,) if self.found.bound or self.found.ci95 is None else self.found.ci95

    @property
    def pair(self) -> str:
        return " / ".join(self.found.arms[:2])

    def row(self, frame: Frame) -> DataRow:
        found = self.found
        part = None if found.bound else frame.part(found.ci95)
        quantity = Quantity(value=self.closed, ci95=None if found.bound else found.ci95)
        executed = found.executed.closed if found.executed else None
        return {
            "pair": self.pair,
            "arm": found.arms[0],
            "variant": self.pair,
            "plain": " / ".join(found.arms[2:]),
            "at_bpb": fmt.four_digits(found.at_bpb or 0.0),
            "x": self.closed,
            "bound": found.bound,
            "closed_text": f"{found.bound} {fmt.with_interval(quantity, fmt.four_digits)}".strip(),
            "executed_text": fmt.with_interval(executed, fmt.four_digits) if executed else fmt.MISSING,
            **(dict(zip(("low", "high"), part, strict=True)) if part else {}),
        }
