"""Figures of other likelihoods of masked models: order gain and slack by budget, and interactions without them.

They rearrange fit.json.
"""

from collections.abc import Sequence

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow, Figure, flops_axis, inline, panels, tooltips, with_data
from bytegap.report.figures.estimand_points import Point
from bytegap.report.figures.side_by_side import rows_chart
from bytegap.report.inputs import Inputs
from bytegap.schema.base import Quantity
from bytegap.schema.fit import Estimand, ExplainedShare, Gain, Label, LikelihoodGain

_WIDTH, _HEIGHT = 300, 220
_TITLES: dict[Gain, str] = {
    "order gain": "order gain: NELBO less a rule",
    "slack": "slack: NELBO less a bound of K orders",
}
_EXPLAINS: dict[Gain, str] = {"order gain": "rule explains", "slack": "K orders explain"}
_TOOLTIPS = (
    ("arm", "arm"),
    ("budget", "budget"),
    ("N_text", "N"),
    ("likelihood", "other likelihood"),
    ("gain_text", "gain, BPB"),
    ("documents", "documents"),
    ("chosen", "chosen"),
)


def figures(inputs: Inputs) -> list[Figure]:
    """Both figures; empty where no run has other likelihoods."""
    return [figure for figure in (_gains(inputs), _interactions(inputs)) if figure]


def _gains(inputs: Inputs) -> Figure | None:
    """One panel per kind of gain, one colour per arm; None where there is no gain."""
    found = inputs.fit.likelihoods.gains if inputs.fit.likelihoods else ()
    if not found:
        return None
    selection = alt.selection_point(name="masked_arm", fields=["arm"], bind="legend", toggle="true")
    kinds: list[Gain] = sorted({gain.gain for gain in found})
    likelihoods = list(dict.fromkeys(gain.likelihood for kind in kinds for gain in found if gain.gain == kind))
    charts = [
        _panel(inputs, [gain for gain in found if gain.gain == kind], likelihoods, selection).properties(
            title=_TITLES[kind], name=f"gains{number}"
        )
        for number, kind in enumerate(kinds)
    ]
    return Figure(
        name="likelihood_gains",
        title="Order gain and slack",
        caption=(
            "NELBO less another likelihood of the same network on the same test windows, for the best size of each "
            "masked arm at each budget. Order gain: against the exact likelihood of a deterministic unmasking rule. "
            "Slack: against the log-mean-exp bound of K random orders. Above the dashed line the NELBO is the higher "
            "loss. Filled, joined by lines: the rule that is best on the arm's validation windows, and the bound of "
            "most orders, with 95 % CI; hollow: the others, whose intervals the table has. Click an arm in the legend "
            "to highlight it."
        ),
        alt=f"{len(found)} gains in BPB; the table of order gain and slack holds the same numbers.",
        source="../fit.json",
        chart=panels(charts, len(charts), selection),
        columns=len(charts),
        palette="arms",
        tables=("likelihood_gains",),
    )


def _panel(
    inputs: Inputs, gains: Sequence[LikelihoodGain], likelihoods: list[str], selection: alt.Parameter
) -> alt.LayerChart | alt.FacetChart:
    all_gains = inputs.fit.likelihoods.gains if inputs.fit.likelihoods else ()
    masked = {gain.arm for gain in all_gains}
    axis = flops_axis(inputs, [gain.budget_flops for gain in all_gains])
    x = alt.X("C:Q").scale(type="log", nice=False, padding=16).axis(axis)
    y = alt.Y("gain:Q", title="gain, BPB").scale(zero=True, padding=8, nice=False).axis(tickCount=6)
    colour = alt.Color("arm:N", title="arm").scale(domain=inputs.drawn_arms)
    shared: alt.typing.EncodeKwds = {
        "x": x,
        "y": y,
        "color": colour.legend(values=[arm for arm in inputs.drawn_arms if arm in masked]),
        "opacity": alt.when(selection).then(alt.value(1)).otherwise(alt.value(0.07)),
    }
    ends: alt.typing.EncodeKwds = {**shared, "y": alt.Y("low:Q"), "y2": "high:Q"}
    shape = alt.Shape("likelihood:N", title="other likelihood").scale(domain=likelihoods)
    point: alt.typing.EncodeKwds = {**shared, "shape": shape, "tooltip": tooltips(*_TOOLTIPS)}
    rows = [_gain_row(inputs, gain) for gain in gains if gain.gain_bpb.value is not None]
    chosen, others = ([row for row in rows if row["chosen"] == is_chosen] for is_chosen in ("yes", "no"))
    zero = alt.Chart(inline([{"gain": 0.0}])).mark_rule(style="neutral", strokeDash=[2, 2])
    layers = with_data(
        zero.encode(y=y),
        alt.Chart(inline(chosen)).mark_line(strokeWidth=1.5).encode(**shared),
        # Bars of the others would lie on these: all gains of a cell are at one budget.
        alt.Chart(inline(row for row in chosen if "low" in row)).mark_rule(strokeWidth=1.2).encode(**ends),
        alt.Chart(inline(others)).mark_point(filled=False, size=50).encode(**point),
        alt.Chart(inline(chosen)).mark_point(filled=True, size=64).encode(**point),
    )
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)


def _gain_row(inputs: Inputs, gain: LikelihoodGain) -> DataRow:
    run = inputs.run_row(gain.run)
    low_high = dict(zip(("low", "high"), gain.gain_bpb.ci95, strict=True)) if gain.gain_bpb.ci95 else {}
    return {
        "arm": gain.arm,
        "C": gain.budget_flops,
        "budget": fmt.flops(gain.budget_flops),
        "gain": gain.gain_bpb.value,
        "likelihood": gain.likelihood,
        "chosen": "yes" if gain.chosen else "no",
        "N_text": fmt.count(run.non_embedding_parameters) if run else fmt.MISSING,
        "gain_text": fmt.with_interval(gain.gain_bpb, fmt.signed),
        "documents": gain.documents,
        **low_high,
    }


def _interactions(inputs: Inputs) -> Figure | None:
    """Each headlined interaction under the NELBO, the unmasking rules and the bounds of K orders; None without any."""
    shares = inputs.fit.likelihoods.shares if inputs.fit.likelihoods else ()
    headlines = {item.arms: item for item in inputs.fit.estimands if item.name == "interaction" and item.headline}
    points: list[Point] = []
    labels: list[str] = []
    for arms in dict.fromkeys(share.arms for share in shares if share.arms in headlines):
        own = [share for share in shares if share.arms == arms]
        headline = headlines[arms]
        compared = f"{inputs.traits(arms[1]).tokenizer}: {headline.objective}"
        under_nelbo: Label = "estimated" if headline.label == "estimated" else "extrapolated"
        points.append(_point(headline, own[0], own[0].interaction, under_nelbo))
        labels.append(f"{compared}, NELBO")
        for share in own:
            points.append(_point(headline, share, share.other_interaction, share.label))
            extrapolated = ", extrapolated" if share.label == "extrapolated" else ""
            labels.append(f"{compared}, {_EXPLAINS[share.gain]}, {_explained(share.share)}{extrapolated}")
    if not points:
        return None
    return Figure(
        name="explained_shares",
        title="Interaction under other likelihoods",
        caption=(
            "Each headlined interaction I, difference of ln k, with the masked arms scored by their NELBO, by the "
            "unmasking rule that is best on validation windows, and by the bound of most random orders, at the same "
            "loss. What the rule explains of I, 1 \N{MINUS SIGN} I_other / I_NELBO, is order gain; what the bound of K "
            "orders explains is slack of the NELBO. The two are of different likelihoods and do not add up. In "
            "brackets: 95 % CI of the share in percent. Dashed: no interaction. Bars: 95 % CI; diamonds are "
            "extrapolations."
        ),
        alt=f"{len(points)} interactions; the table of the same title holds the same numbers.",
        source="../fit.json",
        chart=rows_chart(inputs, points, labels, "interaction").properties(name="explained_shares"),
        columns=1,
        palette="objectives",
        tables=("explained_shares",),
    )


def _explained(share: Quantity) -> str:
    """A share of the interaction in whole percent, with its interval: 40 % (21 to 72)."""
    if share.value is None:
        return fmt.MISSING
    interval = f" ({' to '.join(map(fmt.whole_percent, share.ci95))})" if share.ci95 else ""
    return f"{fmt.whole_percent(share.value)}\N{NO-BREAK SPACE}%{interval}"


def _point(headline: Estimand, share: ExplainedShare, value: Quantity, label: Label) -> Point:
    """An interaction under one likelihood, as a marker."""
    changes = {"form": share.form, "at_bpb": share.at_bpb, "quantity": value, "label": label, "bound": ""}
    return Point(headline.model_copy(update=changes), preferred=True)
