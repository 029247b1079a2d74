"""What trained byte models know, drawn: where entropy finds boundaries, what neighbours are worth, what states know."""

from typing import Any

import altair as alt

from bytegap.records import Fragility, Segmentation, Semantics
from bytegap.report import text
from bytegap.report.figures import Figure, data, present, tooltips
from bytegap.report.inputs import Inputs


def figures(inputs: Inputs) -> list[Figure]:
    """Segmentation, fragility and states of each arm's largest budget; none where there was no probe."""
    probe = inputs.probe
    asked = [(probe.segmentation, _where), (probe.fragility, _worth), (probe.semantics, _known)] if probe else []
    return [figure(_largest(rows)) for rows, figure in asked if rows]


def _largest(rows: list[Any]) -> list[Any]:
    """Each arm's of its largest budget."""
    most: dict[str, float] = {}
    for row in rows:
        most[row.arm] = max(most.get(row.arm, 0.0), row.budget_flops)
    return [row for row in rows if row.budget_flops == most[row.arm]]


def _where(asked: list[Segmentation]) -> Figure:
    rows = [
        {
            "arm": row.arm,
            "who": f"{row.arm}, {row.given}",
            "boundary": row.boundary,
            "signal": row.signal,
            "auc": row.auc,
            "auc_text": text.general(row.auc),
        }
        for row in asked
    ]
    kinds = list(dict.fromkeys(row["who"] for row in rows))
    boundaries = list(dict.fromkeys(row["boundary"] for row in rows))
    panels: list[Any] = []
    for boundary in boundaries:
        own = [row for row in rows if row["boundary"] == boundary]
        points = (
            alt.Chart(data(own))
            .mark_point(filled=True, size=54)
            .encode(
                x=alt.X("auc:Q", title="AUC", scale=alt.Scale(zero=False, padding=12)).axis(tickCount=5),
                y=alt.Y("who:N", title=None, sort=kinds).axis(labelLimit=260),
                color=alt.Color("signal:N", title="signal"),
                tooltip=tooltips(("who", "model, given"), ("signal", "signal"), ("auc_text", "AUC")),
            )
        )
        chance = alt.Chart(data([{"auc": 0.5}])).mark_rule(style="one", strokeDash=[2, 2]).encode(x="auc:Q")
        title = "word starts" if boundary == "word" else f"starts of symbols of {boundary}"
        panels.append((chance + points).properties(title=title, width=280, height=22 * len(kinds)))
    return Figure(
        name="boundaries",
        title="Where tokens and words begin",
        caption=(
            "Chance that the first byte of a token or word has more entropy (or surprisal) than another byte, for each "
            "arm's best model at its largest budget; 0.5 is no knowledge. The bigram needs no network."
        ),
        alt=f"{len(rows)} AUCs; the table of the probe holds the same numbers.",
        source="../probe.json",
        chart=alt.concat(*panels, columns=2).properties(name="boundaries"),
        columns=2,
        colours="objectives",
        tables=("segmentation",),
    )


def _worth(asked: list[Fragility]) -> Figure:
    rows = [
        {
            "arm": row.arm,
            "model": row.arm + (" (out of distribution)" if row.out_of_distribution else ""),
            "reach": f"within {row.reach} byte{'s' * (row.reach > 1)}",
            "share": visible / row.visible[-1],
            "nats": nats,
            "low": nats - 1.96 * error,
            "high": nats + 1.96 * error,
            "shown": f"{visible} of {row.visible[-1]}",
            "nats_text": text.general(nats),
        }
        for row in asked
        for visible, nats, error in zip(row.visible, row.nats, row.nats_se, strict=True)
    ]
    models = list(dict.fromkeys(row["model"] for row in rows))
    panels: list[Any] = []
    for reach in dict.fromkeys(row["reach"] for row in rows):
        own = [row for row in rows if row["reach"] == reach]
        base: dict[str, Any] = {
            "x": alt.X("share:Q", title="neighbours visible", axis=alt.Axis(format="%", tickCount=5)),
            "color": alt.Color("model:N", title="arm", scale=alt.Scale(domain=models)),
        }
        tips = tooltips(("model", "arm"), ("shown", "visible"), ("nats_text", "nats"))
        loss = alt.Y("nats:Q", title="loss on the byte, nats").scale(zero=False)
        chart = alt.Chart(data(own))
        layers = present(
            chart.mark_line(strokeWidth=1.5).encode(**base, y=loss),
            chart.mark_rule(strokeWidth=1.2).encode(**base, y=alt.Y("low:Q"), y2="high:Q"),
            chart.mark_point(filled=True, size=40).encode(**base, y=loss, tooltip=tips),
        )
        panels.append(alt.layer(*layers).properties(title=reach, width=300, height=200))
    return Figure(
        name="neighbours",
        title="What a neighbour is worth",
        caption=(
            "Loss on a hidden byte against how many of its neighbours are to be seen, the share of the window that is "
            "hidden being the same: what is hidden close by is shown elsewhere. Bars: 95 % intervals."
        ),
        alt=f"{len(rows)} losses; the table of the probe holds their ends and slopes.",
        source="../probe.json",
        chart=alt.concat(*panels, columns=2).resolve_scale(y="shared").properties(name="neighbours"),
        columns=2,
        colours="objectives",
        tables=("fragility",),
    )


def _known(asked: list[Semantics]) -> Figure:
    rows = [
        {
            "arm": row.arm,
            "at": f"{row.at} bytes",
            "label": row.label,
            "given": row.given,
            "ratio": row.mask_ratio,
            "accuracy": row.accuracy[-1],
            "chance": row.chance,
            "accuracy_text": text.general(row.accuracy[-1]),
            "chance_text": text.general(row.chance),
        }
        for row in asked
    ]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    names = {"arm": "arm", "at": "states at", "given": "given", "accuracy_text": "accuracy", "chance_text": "by chance"}
    tips = tooltips(*names.items())
    panels: list[Any] = []
    for label in dict.fromkeys(row["label"] for row in rows):
        own = [row for row in rows if row["label"] == label]
        masked = [row for row in own if row["ratio"] is not None]
        base: dict[str, Any] = {
            "x": alt.X("ratio:Q", title="mask ratio", scale=alt.Scale(domain=[0, 1])),
            "color": alt.Color("arm:N", title="arm", scale=alt.Scale(domain=arms)),
        }
        at = alt.StrokeDash("at:N", title="states at", scale=alt.Scale(domain=["visible bytes", "hidden bytes"]))
        accuracy = alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]))
        layers = present(
            alt.Chart(data([{"chance": own[0]["chance"]}]))
            .mark_rule(style="one", strokeDash=[2, 2])
            .encode(y="chance:Q"),
            alt.Chart(data(row for row in own if row["ratio"] is None))
            .mark_rule(strokeWidth=1.5)
            .encode(y=accuracy, color=base["color"], tooltip=tips),
            alt.Chart(data(masked)).mark_line(strokeWidth=1.5).encode(**base, y=accuracy, strokeDash=at),
            alt.Chart(data(masked))
            .mark_point(filled=True, size=40)
            .encode(**base, y=accuracy, detail="at:N", tooltip=tips),
        )
        title = "the word a byte is in" if label == "word" else f"the symbol of {label} it is in"
        panels.append(alt.layer(*layers).properties(title=title, width=300, height=200))
    return Figure(
        name="states",
        title="What hidden states know",
        caption=(
            "How often a linear probe reads the label off the last layer's state at a byte, among the commonest 50 "
            "labels; level lines: autoregression, which has read all up to the byte. Dashed: chance."
        ),
        alt=f"{len(rows)} accuracies; the table of the probe holds those of every layer.",
        source="../probe.json",
        chart=alt.concat(*panels, columns=2).properties(name="states"),
        columns=2,
        colours="objectives",
        tables=("semantics",),
    )
