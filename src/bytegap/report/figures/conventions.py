"""How far the headline overheads depend on the FLOPs convention: one row per convention."""

import altair as alt

from bytegap.report.figures.base import DataRow, Figure, inline, tooltips, with_data
from bytegap.report.figures.estimand_points import Point, framed, objectives, status_shape, with_interval
from bytegap.report.inputs import Inputs

_ROW_HEIGHT = 26
_LINE_HEIGHT = 13
_COMPARISON_HEIGHT = 10
_TOOLTIPS = (
    ("convention", "convention"),
    ("objective", "objective"),
    ("pair", "arms"),
    ("value_text", "overhead"),
    ("label", "status"),
)


def figure(inputs: Inputs) -> Figure | None:
    """The headline overheads under every convention; None where there are fewer than two or no overheads."""
    results = inputs.fit.by_convention
    found = [
        (result.convention, Point(item, preferred=True))
        for result in results
        for item in result.estimands
        if item.name == "overhead" and item.quantity.value is not None
    ]
    if len(results) < 2 or not found:
        return None
    conventions = [result.convention for result in results]
    points = [point for _, point in found]
    frame = framed(points, 1.0, log=True)
    rows: list[DataRow] = [
        point.row(frame) | {"convention": convention} for convention, point in found if frame.contains(point.value)
    ]
    shown = [objective for objective in objectives(inputs) if any(row["objective"] == objective for row in rows)]
    pairs = list(dict.fromkeys(" / ".join(point.estimand.arms) for point in points))
    shared: alt.typing.EncodeKwds = {
        "y": alt.Y("convention:N", title=None, sort=conventions)
        .scale(paddingInner=0.4)
        .axis(labelExpr="split(datum.label, ' ')", labelOffset=-_LINE_HEIGHT / 2, grid=True),
        "yOffset": alt.YOffset("pair:N").scale(domain=pairs),
        "color": alt.Color("objective:N", title="objective")
        .scale(domain=objectives(inputs))
        .legend(
            values=shown,
            labelExpr="split(datum.label, ' / ')",  # of a pair that the study names
        ),
    }
    x = alt.X("value:Q", title="overhead k", scale=frame.scale(log=True))
    x = x.axis(labelOverlap="greedy", labelSeparation=6)
    point: alt.typing.EncodeKwds = {
        **shared,
        "x": x,
        "shape": status_shape(points, sideways=True),
        "tooltip": tooltips(*_TOOLTIPS),
    }
    ends: alt.typing.EncodeKwds = {**shared, "x": alt.X("low:Q"), "x2": "high:Q"}
    layers = with_data(
        alt.Chart(inline(with_interval(rows))).mark_rule(strokeWidth=1.2).encode(**ends),
        alt.Chart(inline(rows)).mark_point(filled=True, size=54).encode(**point),
    )
    lines = max(convention.count(" ") + 1 for convention in conventions)
    height = len(conventions) * max(_ROW_HEIGHT, _LINE_HEIGHT * lines + 6, _COMPARISON_HEIGHT * len(pairs))
    return Figure(
        name="conventions",
        title="Overhead by FLOPs convention",
        caption=(
            "The headline overheads of bytes at the same loss, with the training compute of the same runs counted "
            "under each FLOPs convention. Bars: 95 % CI; triangles are bounds and point to the side of the true value."
        ),
        alt=f"{len(rows)} overheads under {len(conventions)} conventions; the table holds the same numbers.",
        source="../fit.json",
        chart=alt.layer(*layers).properties(width=520, height=height, name="conventions"),
        columns=1,
        palette="objectives",
        tables=("conventions",),
    )
