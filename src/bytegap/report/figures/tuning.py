"""The tuning audit: validation BPB of each arm as its learning rate, batch size or weight decay is varied."""

from collections.abc import Callable, Sequence

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import Figure, inline, tooltips, with_data
from bytegap.report.inputs import Inputs
from bytegap.schema.tuning import TuningRow

_MAX_INCREASE = 0.08
"""Relative increase in BPB above which points are clipped: divergent settings would flatten all minima."""
_TICKS = [2.0**octaves for octaves in range(-4, 5)]
_WEIGHT_DECAY_TICKS = [0.0, 0.3, 1.0, 3.0, 7.0, 15.0]

_TOOLTIPS = (("arm", "arm"), ("budget", "budget"), ("bpb_text", "BPB"))

PointRow = dict[str, str | float]

_HYPERPARAMETERS: dict[str, Callable[[TuningRow], Sequence[tuple[float, float]]]] = {
    "learning rate": lambda row: row.rates,
    "batch size": lambda row: row.batches,
    "weight decay": lambda row: row.weight_decays,
}
"""Name -> its settings in a row."""


def figure(inputs: Inputs) -> Figure | None:
    """One panel per hyperparameter and end of the audited budgets; None without a tuning audit."""
    found = inputs.audit.tuning if inputs.audit else ()
    if not found:
        return None
    ends = _by_end(found)
    panels = {
        (name, end): [point for row in rows for point in _points(row, settings_of(row))]
        for name, settings_of in _HYPERPARAMETERS.items()
        for end, rows in ends.items()
    }
    panels = {key: points for key, points in panels.items() if points}
    increases = [float(point["increase"]) for points in panels.values() for point in points]
    lowest, highest = min(increases), min(_MAX_INCREASE, max(increases))
    margin = 0.05 * (highest - lowest)
    y_scale = alt.Scale(domain=[lowest - margin, highest + margin], nice=False)
    audited = {row.arm for row in found}
    legend = alt.Legend(values=[arm for arm in inputs.drawn_arms if arm in audited])
    colour = alt.Color("arm:N", title="arm", scale=alt.Scale(domain=inputs.drawn_arms), legend=legend)
    charts = [
        _panel(points, f"{name}, {end}", name, (_x_scale(name, panels), y_scale), colour)
        for (name, end), points in panels.items()
    ]
    return Figure(
        name="tuning",
        title="Tuning audit",
        caption=(
            "Validation BPB, relative to the shared rule's, of each arm's best size as the learning rate, batch size "
            "or weight decay is varied about the rule, at the audited budgets. If every arm has its minimum at 1, "
            "the rule favours none."
        ),
        alt=f"{len(found)} sweeps; the table of the tuning audit holds their minima and what the rule costs.",
        source="../audit.json",
        chart=alt.concat(*charts, columns=len(ends), resolve={"scale": {"y": "shared", "x": "independent"}}).properties(
            name="tuning"
        ),
        columns=len(ends),
        palette="arms",
        tables=("tuning",),
    )


def _by_end(found: Sequence[TuningRow]) -> dict[str, Sequence[TuningRow]]:
    """Each arm's rows at its smallest and largest audited budget, and those between; of one budget, all rows."""
    budgets = {row.arm: sorted({each.budget_flops for each in found if each.arm == row.arm}) for row in found}
    if all(len(own) == 1 for own in budgets.values()):
        return {"one budget": found}
    smallest = [row for row in found if row.budget_flops == budgets[row.arm][0]]
    largest = [row for row in found if row.budget_flops == budgets[row.arm][-1]]
    between = [row for row in found if row not in smallest and row not in largest]
    ends = {"smallest budget": smallest, "budgets between": between, "largest budget": largest}
    return {end: rows for end, rows in ends.items() if rows}


def _x_scale(name: str, panels: dict[tuple[str, str], list[PointRow]]) -> alt.Scale:
    """The same for learning rate and batch size; weight decay may be 0, so its scale is that of log(1 + factor)."""
    if name == "weight decay":
        return alt.Scale(type="symlog", constant=1, nice=False, padding=12)
    factors = [
        float(point["factor"]) for (other, _), rows in panels.items() if other != "weight decay" for point in rows
    ]
    return alt.Scale(type="log", base=2, nice=False, padding=12, domain=[min(factors), max(factors)])


def _points(row: TuningRow, settings: Sequence[tuple[float, float]]) -> list[PointRow]:
    """Rows from pairs (factor on the rule's value, BPB); the rule itself has factor 1."""
    rule_bpb = {factor: bpb for factor, bpb in settings if factor == 1.0}
    return [
        {
            "arm": row.arm,
            "budget": fmt.flops(row.budget_flops),
            "sweep": f"{row.arm} {row.budget_flops} {row.non_embedding_parameters}",
            "factor": factor,
            "increase": bpb / rule_bpb[1.0] - 1,
            "bpb_text": fmt.bpb(bpb),
            "factor_text": fmt.four_digits(factor),
        }
        for factor, bpb in settings
    ]


def _panel(
    rows: Sequence[PointRow], title: str, name: str, scales: tuple[alt.Scale, alt.Scale], colour: alt.Color
) -> alt.LayerChart | alt.FacetChart:
    """One hyperparameter at one end; `scales`: those of x and y."""
    x_scale, y_scale = scales
    x_title = f"{name} / rule's"
    ticks = _WEIGHT_DECAY_TICKS if name == "weight decay" else _TICKS
    x = alt.X("factor:Q", title=x_title, axis=alt.Axis(values=ticks), scale=x_scale)
    y = alt.Y("increase:Q", title="BPB above the rule's", axis=alt.Axis(format="%", tickCount=5), scale=y_scale)
    xy: alt.typing.EncodeKwds = {"x": x, "y": y, "color": colour, "detail": "sweep:N"}
    point: alt.typing.EncodeKwds = {**xy, "tooltip": tooltips(*_TOOLTIPS, ("factor_text", x_title))}
    layers = with_data(
        alt.Chart(inline([{"factor": 1.0}])).mark_rule(style="neutral", strokeDash=[2, 2]).encode(x="factor:Q"),
        alt.Chart(inline(rows)).mark_line(strokeWidth=1.5, clip=True).encode(**xy),
        alt.Chart(inline(rows)).mark_point(filled=True, size=40, clip=True).encode(**point),
    )
    return alt.layer(*layers).properties(title=title, width=300, height=180)
