"""How far the headline overheads depend on the FLOPs convention: one row per convention."""

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow, Figure, inline, tooltips, with_data
from bytegap.report.figures.estimands import objectives
from bytegap.report.inputs import Inputs
from bytegap.schema.fit import ConventionResult, Estimand

_ROW_HEIGHT = 26
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
    rows = [
        _row(result, item)
        for result in results
        for item in result.estimands
        if item.name == "overhead" and item.quantity.value is not None
    ]
    conventions = [result.convention for result in results]
    if len(conventions) < 2 or not rows:
        return None
    shown = [objective for objective in objectives(inputs) if any(row["objective"] == objective for row in rows)]
    shared: alt.typing.EncodeKwds = {
        "y": alt.Y("convention:N", title=None, sort=conventions).axis(labelLimit=220),
        "yOffset": alt.YOffset("objective:N").scale(domain=shown),
        "color": alt.Color("objective:N", title="objective").scale(domain=objectives(inputs)).legend(values=shown),
    }
    x = alt.X("value:Q", title="overhead k").scale(type="log", nice=False, padding=12)
    point: alt.typing.EncodeKwds = {**shared, "x": x, "tooltip": tooltips(*_TOOLTIPS)}
    ends: alt.typing.EncodeKwds = {**shared, "x": alt.X("low:Q").scale(type="log"), "x2": "high:Q"}
    layers = with_data(
        alt.Chart(inline(row for row in rows if "low" in row)).mark_rule(strokeWidth=1.2).encode(**ends),
        alt.Chart(inline(rows)).mark_point(filled=True, size=54).encode(**point),
    )
    return Figure(
        name="conventions",
        title="Overhead by FLOPs convention",
        caption=(
            "The headline overheads of bytes at the same loss, with the training compute of the same runs counted "
            "under each FLOPs convention. Bars: 95 % CI."
        ),
        alt=f"{len(rows)} overheads under {len(conventions)} conventions; the table holds the same numbers.",
        source="../fit.json",
        chart=alt.layer(*layers).properties(width=520, height=_ROW_HEIGHT * len(conventions), name="conventions"),
        columns=1,
        palette="objectives",
        tables=("conventions",),
    )


def _row(result: ConventionResult, item: Estimand) -> DataRow:
    row: dict[str, str | float | list[str] | None] = {
        "convention": result.convention,
        "objective": item.objective,
        "arms": list(item.arms),
        "pair": " / ".join(item.arms),
        "value": item.quantity.value,
        "value_text": f"{fmt.value_or_bound(item)} {fmt.interval(item.quantity, fmt.ratio)}".strip(),
        "label": item.label,
    }
    if item.quantity.ci95:
        row["low"], row["high"] = item.quantity.ci95
    return row
