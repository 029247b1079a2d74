"""Figures of the probes: boundaries of tokens and words, neighbour ablation, linear probes of hidden states."""

from collections.abc import Sequence
from typing import TypeVar

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow, Figure, inline, tooltips, with_data
from bytegap.report.inputs import Inputs
from bytegap.scaling.student_t import t_quantile
from bytegap.schema.probe import LinearProbe, NeighbourAblation, Probed, Segmentation

P = TypeVar("P", bound=Probed)


def figures(inputs: Inputs) -> list[Figure]:
    """The figures of all probes that have results, each arm at its largest budget; empty without probe.json."""
    probe = inputs.probe
    if not probe:
        return []
    found: list[Figure] = []
    if probe.segmentation:
        found.append(_boundaries(_at_largest_budget(probe.segmentation)))
    if probe.neighbour_ablation:
        found.append(_neighbour_ablation(_at_largest_budget(probe.neighbour_ablation), probe.windows))
    if probe.linear_probe:
        found.append(_linear_probes(_at_largest_budget(probe.linear_probe)))
    return found


def _at_largest_budget(results: Sequence[P]) -> list[P]:
    """The results of each arm at its largest budget."""
    largest: dict[str, float] = {}
    for row in results:
        largest[row.arm] = max(largest.get(row.arm, 0.0), row.budget_flops)
    return [row for row in results if row.budget_flops == largest[row.arm]]


def _boundaries(results: list[Segmentation]) -> Figure:
    def model(row: Segmentation) -> str:
        return f"{row.arm}, {row.conditioning}"

    models = list(dict.fromkeys(model(row) for row in results))
    panels: list[alt.LayerChart | alt.FacetChart] = []
    for boundary in dict.fromkeys(row.boundary for row in results):
        rows: list[DataRow] = [
            {
                "arm": row.arm,
                "model": model(row),
                "boundary": row.boundary,
                "score": row.score,
                "auc": row.auc,
                "auc_text": fmt.four_digits(row.auc),
            }
            for row in results
            if row.boundary == boundary
        ]
        points = (
            alt.Chart(inline(rows))
            .mark_point(filled=True, size=54)
            .encode(
                x=alt.X("auc:Q", title="AUC", scale=alt.Scale(zero=False, padding=12)).axis(tickCount=5),
                y=alt.Y("model:N", title=None, sort=models).axis(labelLimit=260),
                color=alt.Color("score:N", title="score"),
                tooltip=tooltips(("model", "model, conditioning"), ("score", "score"), ("auc_text", "AUC")),
            )
        )
        chance = alt.Chart(inline([{"auc": 0.5}])).mark_rule(style="neutral", strokeDash=[2, 2]).encode(x="auc:Q")
        title = "word starts" if boundary == "word" else f"token starts of {boundary}"
        panels.append(alt.layer(chance, points).properties(title=title, width=280, height=22 * len(models)))
    return Figure(
        name="boundaries",
        title="Token and word boundaries",
        caption=(
            "AUC of a byte model's entropy or surprisal as a detector of the first bytes of tokens or words, for each "
            "arm's best model at its largest budget; chance is 0.5. The bigram baseline needs no network."
        ),
        alt=f"{len(results)} AUCs; the table of the probe holds the same numbers.",
        source="../probe.json",
        chart=alt.concat(*panels, columns=2).properties(name="boundaries"),
        columns=2,
        palette="objectives",
        tables=("segmentation",),
    )


def _neighbour_ablation(results: list[NeighbourAblation], windows: int) -> Figure:
    """Loss against the share of visible neighbours.

    The bars are nats +- t standard errors. A window has several losses, which are not independent, so t has the degrees
    of freedom of the windows: their number less 1.
    """
    t = t_quantile(0.975, max(windows - 1, 1))
    radii: dict[str, list[DataRow]] = {}
    for row in results:
        radius = f"within {row.radius} byte{'s' * (row.radius > 1)}"
        for visible, nats, se in zip(row.visible, row.nats, row.nats_se, strict=True):
            radii.setdefault(radius, []).append(
                {
                    "arm": row.arm,
                    "model": _ablated_model(row),
                    "radius": radius,
                    "share": visible / row.visible[-1],
                    "nats": nats,
                    "low": nats - t * se,
                    "high": nats + t * se,
                    "visible_text": f"{visible} of {row.visible[-1]}",
                    "nats_text": fmt.four_digits(nats),
                }
            )
    models = list(dict.fromkeys(_ablated_model(row) for row in results))
    x = alt.X("share:Q", title="visible neighbours", axis=alt.Axis(format="%", tickCount=5))
    y = alt.Y("nats:Q", title="loss on the masked byte, nats").scale(zero=False)
    colour = alt.Color("model:N", title="arm", scale=alt.Scale(domain=models))
    xy: alt.typing.EncodeKwds = {"x": x, "y": y, "color": colour}
    tooltip = tooltips(("model", "arm"), ("visible_text", "visible"), ("nats_text", "nats"))
    point: alt.typing.EncodeKwds = {**xy, "tooltip": tooltip}
    panels: list[alt.LayerChart | alt.FacetChart] = []
    for radius, rows in radii.items():
        chart = alt.Chart(inline(rows))
        layers = with_data(
            chart.mark_line(strokeWidth=1.5).encode(**xy),
            chart.mark_rule(strokeWidth=1.2).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour),
            chart.mark_point(filled=True, size=40).encode(**point),
        )
        panels.append(alt.layer(*layers).properties(title=radius, width=300, height=200))
    return Figure(
        name="neighbour_ablation",
        title="Neighbour ablation",
        caption=(
            "Loss on a masked byte against the share of its neighbours that are visible. The masked share of the "
            "window is constant: what is masked nearby is shown elsewhere. Bars: 95 % CI."
        ),
        alt=f"{sum(map(len, radii.values()))} losses; the table of the probe holds the first, the last and the slopes.",
        source="../probe.json",
        chart=alt.concat(*panels, columns=2, resolve={"scale": {"y": "shared"}}).properties(name="neighbour_ablation"),
        columns=2,
        palette="objectives",
        tables=("neighbour_ablation",),
    )


def _ablated_model(row: NeighbourAblation) -> str:
    return row.arm + (" (out of distribution)" if row.out_of_distribution else "")


def _linear_probes(results: list[LinearProbe]) -> Figure:
    arms = list(dict.fromkeys(row.arm for row in results))
    panels = [
        _linear_probe_panel([row for row in results if row.label == label], arms)
        for label in dict.fromkeys(row.label for row in results)
    ]
    return Figure(
        name="linear_probes",
        title="Linear probes of hidden states",
        caption=(
            "Accuracy of a linear probe that predicts the word or token a byte belongs to from the last layer's hidden "
            "state at that byte, among the 50 most frequent labels. Horizontal lines: AR, which is conditioned on all "
            "bytes up to that one. Dashed: chance."
        ),
        alt=f"{len(results)} accuracies; the table of the probe holds those of every layer.",
        source="../probe.json",
        chart=alt.concat(*panels, columns=2).properties(name="linear_probes"),
        columns=2,
        palette="objectives",
        tables=("linear_probe",),
    )


def _linear_probe_panel(results: list[LinearProbe], arms: list[str]) -> alt.LayerChart | alt.FacetChart:
    """Accuracy against the mask ratio for one kind of label."""

    def data_row(row: LinearProbe) -> DataRow:
        return {
            "arm": row.arm,
            "at": "masked bytes" if row.at == "hidden" else "visible bytes",
            "label": row.label,
            "conditioning": row.conditioning,
            "ratio": row.mask_ratio,
            "accuracy": row.accuracy[-1],
            "accuracy_text": fmt.four_digits(row.accuracy[-1]),
            "chance_text": fmt.four_digits(row.chance),
        }

    unmasked = inline(data_row(row) for row in results if row.mask_ratio is None)
    masked = inline(data_row(row) for row in results if row.mask_ratio is not None)
    x = alt.X("ratio:Q", title="mask ratio", scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]))
    colour = alt.Color("arm:N", title="arm", scale=alt.Scale(domain=arms))
    dash = alt.StrokeDash("at:N", title="states at", scale=alt.Scale(domain=["visible bytes", "masked bytes"]))
    tooltip = tooltips(
        ("arm", "arm"),
        ("at", "states at"),
        ("conditioning", "conditioning"),
        ("accuracy_text", "accuracy"),
        ("chance_text", "chance"),
    )
    chance = alt.Chart(inline([{"chance": results[0].chance}]))
    layers = with_data(
        chance.mark_rule(style="neutral", strokeDash=[2, 2]).encode(y="chance:Q"),
        alt.Chart(unmasked).mark_rule(strokeWidth=1.5).encode(y=y, color=colour, tooltip=tooltip),
        alt.Chart(masked).mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour, strokeDash=dash),
        alt.Chart(masked)
        .mark_point(filled=True, size=40)
        .encode(x=x, y=y, color=colour, detail="at:N", tooltip=tooltip),
    )
    title = "word at the byte" if results[0].label == "word" else f"token of {results[0].label} at the byte"
    return alt.layer(*layers).properties(title=title, width=300, height=200)
