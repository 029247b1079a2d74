"""The tuning audit: validation BPB of each arm as its learning rate or batch size is varied about the shared rule."""

from collections.abc import Sequence

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import Figure, inline, tooltips, with_data
from bytegap.report.inputs import Inputs
from bytegap.schema.tuning import TuningRow

_MAX_INCREASE = 0.08
"""Relative increase in BPB above which points are clipped: divergent settings would flatten all minima."""
_TICKS = [2.0**octaves for octaves in range(-4, 5)]

_TOOLTIPS = (("arm", "arm"), ("budget", "budget"), ("bpb_text", "BPB"))

PointRow = dict[str, str | float]


def figure(inputs: Inputs) -> Figure | None:
    """One panel per hyperparameter and end of the budgets; None without a tuning audit."""
    found = inputs.audit.tuning if inputs.audit else ()
    if not found:
        return None
    rates = {
        ("learning rate", end): [point for row in rows for point in _points(row, row.rates)]
        for end, rows in _by_end(found).items()
    }
    batches = {
        ("batch size", end): [point for row in rows for point in _points(row, row.batches)]
        for end, rows in _by_end(found).items()
    }
    points = rates | batches
    top = min(_MAX_INCREASE, 1.05 * max(float(point["increase"]) for rows in points.values() for point in rows))
    panels = [_panel(inputs, rows, f"{name}, {end}", f"{name} / rule's", top) for (name, end), rows in points.items()]
    return Figure(
        name="tuning",
        title="Tuning audit",
        caption=(
            "Validation BPB, relative to the shared rule's, of each arm's best size as the learning rate or batch size "
            "is varied about the rule, at the arm's smallest and largest budget. If every arm has its minimum at 1, "
            "the rule favours none."
        ),
        alt=f"{len(found)} sweeps; the table of the tuning audit holds their minima and what the rule costs.",
        source="../audit.json",
        chart=alt.concat(*panels, columns=2, resolve={"scale": {"y": "shared", "x": "shared"}}).properties(
            name="tuning"
        ),
        columns=2,
        palette="arms",
        tables=("tuning",),
    )


def _by_end(found: Sequence[TuningRow]) -> dict[str, Sequence[TuningRow]]:
    """Each arm's rows at its smallest and at its largest budget; all rows under one name if these are the same."""
    ends: dict[str, Sequence[TuningRow]] = {}
    for end, choose in (("smallest budget", min), ("largest budget", max)):
        budgets = {row.arm: choose(each.budget_flops for each in found if each.arm == row.arm) for row in found}
        ends[end] = [row for row in found if row.budget_flops == budgets[row.arm]]
    return ends if ends["smallest budget"] != ends["largest budget"] else {"one budget": found}


def _points(row: TuningRow, settings: Sequence[tuple[float, float]]) -> list[PointRow]:
    """Rows from pairs (factor on the rule's value, BPB); the rule itself has factor 1."""
    rule_bpb = dict(settings)[1.0]
    return [
        {
            "arm": row.arm,
            "budget": fmt.flops(row.budget_flops),
            "factor": factor,
            "increase": bpb / rule_bpb - 1,
            "bpb_text": fmt.bpb(bpb),
            "factor_text": fmt.four_digits(factor),
        }
        for factor, bpb in settings
    ]


def _panel(
    inputs: Inputs, rows: Sequence[PointRow], title: str, x_title: str, top: float
) -> alt.LayerChart | alt.FacetChart:
    x = alt.X("factor:Q", title=x_title, axis=alt.Axis(values=_TICKS)).scale(type="log", base=2, nice=False, padding=12)
    y = alt.Y("increase:Q", title="BPB above the rule's", axis=alt.Axis(format="%", tickCount=5)).scale(domainMax=top)
    colour = alt.Color("arm:N", title="arm", scale=alt.Scale(domain=inputs.drawn_arms))
    xy: alt.typing.EncodeKwds = {"x": x, "y": y, "color": colour}
    point: alt.typing.EncodeKwds = {**xy, "tooltip": tooltips(*_TOOLTIPS, ("factor_text", x_title))}
    layers = with_data(
        alt.Chart(inline([{"factor": 1.0}])).mark_rule(style="neutral", strokeDash=[2, 2]).encode(x="factor:Q"),
        alt.Chart(inline(rows)).mark_line(strokeWidth=1.5, clip=True).encode(**xy),
        alt.Chart(inline(rows)).mark_point(filled=True, size=40, clip=True).encode(**point),
    )
    return alt.layer(*layers).properties(title=title, width=300, height=180)
