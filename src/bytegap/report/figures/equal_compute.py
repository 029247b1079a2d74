"""Losses at equal compute, less that of masked diffusion or of another arm: one row per pair of arms."""

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow, Figure, inline, tooltips, with_data
from bytegap.report.inputs import Inputs
from bytegap.schema.fit import LossDifference

_ROW_HEIGHT = 20
_LABEL_LIMIT = 260  # pixels
_MIN_ROWS = 3
_TOOLTIPS = (
    ("arm", "arm"),
    ("reference", "compared with"),
    ("budget", "budget"),
    ("bpb_text", "BPB"),
    ("difference_text", "difference, BPB"),
)


def figure(inputs: Inputs) -> Figure | None:
    """Each pair at the largest budget that its arms share; None where there are fewer than three."""
    largest = {difference.arms: difference for difference in inputs.fit.loss_differences}  # budgets ascend
    known = [each for each in largest.values() if each.difference_bpb.value is not None]
    if len(known) < _MIN_ROWS:
        return None
    rows = [_row(inputs, difference) for difference in known]
    rank = {arm: number for number, arm in enumerate(inputs.arms)}
    known.sort(key=lambda difference: rank[difference.arms[0]])
    order = [" less ".join(difference.arms) for difference in known]
    y = alt.Y("pair:N", title=None, sort=order).axis(grid=True, labelLimit=_LABEL_LIMIT)
    colour = alt.Color("arm:N", legend=None).scale(domain=inputs.drawn_arms)
    x = alt.X("difference:Q", title="difference of BPB").scale(zero=True, nice=False, padding=10)
    zero = alt.Chart(inline([{"difference": 0.0}])).mark_rule(style="neutral", strokeDash=[2, 2])
    layers = with_data(
        zero.encode(x=x),
        alt.Chart(inline(row for row in rows if "low" in row))
        .mark_rule(strokeWidth=1.2)
        .encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour),
        alt.Chart(inline(rows))
        .mark_point(filled=True, size=64)
        .encode(x=x, y=y, color=colour, tooltip=tooltips(*_TOOLTIPS)),
    )
    return Figure(
        name="equal_compute",
        title="Loss at equal compute",
        caption=(
            "BPB of each arm less that of masked diffusion with the same tokenizer, or of an arm that the study "
            "names, with as much compute and both at their best sizes. Left of the dashed line the first arm is "
            "better. Bars: 95 % CI of the difference; held-out documents are resampled in pairs."
        ),
        alt=f"{len(rows)} differences in BPB; the table of losses at equal compute holds the same numbers.",
        source="../fit.json",
        chart=alt.layer(*layers).properties(width=520, height=_ROW_HEIGHT * len(rows), name="equal_compute"),
        columns=1,
        palette="arms",
        tables=("loss_differences",),
    )


def _row(inputs: Inputs, difference: LossDifference) -> DataRow:
    arm, reference = difference.arms
    found = difference.difference_bpb
    low_high = dict(zip(("low", "high"), found.ci95, strict=True)) if found.ci95 else {}
    return {
        "pair": f"{arm} less {reference}",
        "arm": arm,
        "reference": reference,
        "budget": fmt.flops(difference.budget_flops),
        "difference": found.value,
        "bpb_text": fmt.with_interval(inputs.cell(arm, difference.budget_flops).optimum_bpb, fmt.bpb),
        "difference_text": fmt.with_interval(found, fmt.signed),
        **low_high,
    }
