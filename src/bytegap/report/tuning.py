"""What another learning rate or batch would have given each arm, drawn: how level the field was."""

from typing import Any

import altair as alt

from bytegap.records import TuningRow
from bytegap.report import text
from bytegap.report.figures import Figure, data, present, tooltips
from bytegap.report.inputs import Inputs

_FARTHEST = 0.08
"""Of the rule's BPB: what lies higher is cut off, lest a cliff hide the valleys."""
_TICKS = [2.0**octaves for octaves in range(-4, 5)]


def figure(inputs: Inputs) -> Figure | None:
    """BPB against the factor on the rule, a panel a setting and end of the ladder; None before `bytegap tune`."""
    found = inputs.audit.tuning if inputs.audit else []
    if not found:
        return None
    drawn = {
        (name, end): [point for row in cells for point in _points(row, getattr(row, which))]
        for name, which in (("learning rate", "rates"), ("batch", "batches"))
        for end, cells in _ends(found).items()
    }
    top = min(_FARTHEST, 1.05 * max(point["above"] for rows in drawn.values() for point in rows))
    panels = [_panel(inputs, rows, f"{name}, {end}", f"{name} / rule's", top) for (name, end), rows in drawn.items()]
    return Figure(
        name="tuning",
        title="What another rule would have given",
        caption=(
            "Validation BPB of each arm's best size with learning rate or batch varied about the rule, at its smallest "
            "and its largest budget. Where all arms have their valleys at 1, the rule favours none."
        ),
        alt=f"{len(found)} valleys; the table of the rule's losses says where each is lowest, and what the rule loses.",
        source="../audit.json",
        chart=alt.concat(*panels, columns=2).resolve_scale(y="shared", x="shared").properties(name="tuning"),
        columns=2,
        colours="arms",
        tables=("tuning",),
    )


def _ends(found: list[TuningRow]) -> dict[str, list[TuningRow]]:
    """Each arm's cells at its smallest and at its largest budget, if they are two."""
    ends: dict[str, list[TuningRow]] = {}
    for end, which in (("smallest budget", min), ("largest budget", max)):
        budgets = {row.arm: which(each.budget_flops for each in found if each.arm == row.arm) for row in found}
        ends[end] = [row for row in found if row.budget_flops == budgets[row.arm]]
    return ends if ends["smallest budget"] != ends["largest budget"] else {"one budget": found}


def _points(row: TuningRow, places: list[tuple[float, float]]) -> list[dict[str, Any]]:
    rule = dict(places)[1.0]
    return [
        {
            "arm": row.arm,
            "budget": text.flops(row.budget_flops),
            "factor": factor,
            "above": bpb / rule - 1,
            "bpb_text": text.bpb(bpb),
            "factor_text": text.general(factor),
        }
        for factor, bpb in places
    ]


def _panel(inputs: Inputs, rows: list[dict[str, Any]], title: str, of: str, top: float) -> Any:
    base: dict[str, Any] = {
        "x": alt.X("factor:Q", title=of, axis=alt.Axis(values=_TICKS)).scale(
            type="log", base=2, nice=False, padding=12
        ),
        "y": alt.Y("above:Q", title="BPB above the rule's", axis=alt.Axis(format="%", tickCount=5)).scale(
            domainMax=top
        ),
        "color": alt.Color("arm:N", title="arm", scale=alt.Scale(domain=inputs.drawn_arms)),
    }
    tips = tooltips(("arm", "arm"), ("budget", "budget"), ("factor_text", of), ("bpb_text", "BPB"))
    layers = present(
        alt.Chart(data([{"factor": 1.0}])).mark_rule(style="one", strokeDash=[2, 2]).encode(x="factor:Q"),
        alt.Chart(data(rows)).mark_line(strokeWidth=1.5, clip=True).encode(**base),
        alt.Chart(data(rows)).mark_point(filled=True, size=40, clip=True).encode(**base, tooltip=tips),
    )
    return alt.layer(*layers).properties(title=title, width=300, height=180)
