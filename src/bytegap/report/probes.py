"""What trained byte models know: tables and figures of segmentation, fragility and words guessed back."""

from typing import Any

import altair as alt

from bytegap.records import Probe, Probed
from bytegap.report import text
from bytegap.report.figures import Figure, data, present, tooltips
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, number, words

_WHO = (
    Column("arm", "arm", numeric=False),
    Column("budget_flops", "budget, FLOPs"),
    Column("non_embedding_parameters", "N"),
)


def _who(row: Probed) -> tuple[Item, ...]:
    href = f"../runs/{row.run}/record.json" if row.run else ""
    return (
        words(row.arm, href),
        number(row.budget_flops, text.flops),
        number(row.non_embedding_parameters, text.count),
    )


def tables(inputs: Inputs) -> list[Table]:
    """One a probe; none where none was made."""
    probe = inputs.probe
    return [_segmentation(probe), _fragility(probe), _words(probe), _context(probe)] if probe else []


def _segmentation(probe: Probe) -> Table:
    return Table(
        name="segmentation",
        title="Probe: where tokens and words begin",
        caption=(
            "How well a byte model's entropy or surprisal tells the bytes at which a symbol of another set, or a word, "
            "begins, by what the model saw. By chance the AUC is 0.5, average precision the base rate p, and the best "
            "F1 2p / (1 + p)."
        ),
        source="../probe.json",
        columns=(
            *_WHO,
            Column("given", "given", numeric=False),
            Column("boundary", "boundary", numeric=False),
            Column("signal", "signal", numeric=False),
            Column("auc", "AUC"),
            Column("average_precision", "average precision"),
            Column("best_f1", "best F1"),
            Column("base_rate", "base rate"),
            Column("positions", "positions"),
        ),
        rows=tuple(
            (
                *_who(row),
                words(row.given),
                words(row.boundary),
                words(row.signal),
                number(row.auc, text.general),
                number(row.average_precision, text.general),
                number(row.best_f1, text.general),
                number(row.base_rate, text.general),
                number(row.positions, text.count),
            )
            for row in probe.segmentation
        ),
    )


def _fragility(probe: Probe) -> Table:
    return Table(
        name="fragility",
        title="Probe: what a neighbour is worth",
        caption=(
            "Loss on a hidden byte by how many of its neighbours within a reach are to be seen, as many bytes being "
            "hidden in all whatever is seen; and the slope of a line through these, nats lost with each neighbour. AR "
            "never saw a gap in its history: out of distribution."
        ),
        source="../probe.json",
        columns=(
            *_WHO,
            Column("reach", "reach, bytes"),
            Column("none_visible_nats", "none visible, nats"),
            Column("all_visible_nats", "all visible, nats"),
            Column("nats_a_neighbour", "nats a neighbour"),
            Column("nats_a_neighbour_se", "standard error"),
            Column("out_of_distribution", "out of distribution", numeric=False),
        ),
        rows=tuple(
            (
                *_who(row),
                number(row.reach),
                number(row.nats[0], text.general),
                number(row.nats[-1], text.general),
                number(row.nats_a_neighbour, text.general),
                number(row.nats_a_neighbour_se, text.general),
                Item(row.out_of_distribution, "yes" if row.out_of_distribution else "no"),
            )
            for row in probe.fragility
        ),
    )


def _words(probe: Probe) -> Table:
    return Table(
        name="reconstruction",
        title="Probe: words guessed back",
        caption="One word a window, of 5 to 8 bytes, k of them hidden, scattered or side by side; all else is visible.",
        source="../probe.json",
        columns=(
            *_WHO,
            Column("pattern", "pattern", numeric=False),
            Column("hidden", "bytes hidden"),
            Column("nats_a_byte", "nats a byte"),
            Column("nats_a_byte_se", "standard error"),
            Column("all_right", "all right"),
            Column("words", "words"),
        ),
        rows=tuple(
            (
                *_who(row),
                words(row.pattern),
                number(row.hidden),
                number(row.nats_a_byte, text.general),
                number(row.nats_a_byte_se, text.general),
                number(row.all_right, text.general),
                number(row.words, text.count),
            )
            for row in probe.reconstruction
        ),
    )


def _context(probe: Probe) -> Table:
    lengths = sorted({length for row in probe.context for length in row.lengths})
    return Table(
        name="context",
        title="Probe: effective context",
        caption=(
            "Loss in nats on a byte by how many bytes before it an AR model is given; the effective length is the "
            "least whose loss is within 1 % of the longest's."
        ),
        source="../probe.json",
        columns=(
            *_WHO,
            Column("effective", "effective length, bytes"),
            *(Column(f"nats_{length}", f"given {length}") for length in lengths),
        ),
        rows=tuple(
            (
                *_who(row),
                number(row.effective),
                *(
                    number(dict(zip(row.lengths, row.nats, strict=True)).get(length), text.general)
                    for length in lengths
                ),
            )
            for row in probe.context
        ),
    )


def figures(inputs: Inputs) -> list[Figure]:
    """Segmentation and fragility of each arm's largest budget; none where there was no probe."""
    return [_where(inputs.probe), _worth(inputs.probe)] if inputs.probe else []


def _largest(rows: list[Any]) -> list[Any]:
    """Each arm's of its largest budget."""
    most: dict[str, float] = {}
    for row in rows:
        most[row.arm] = max(most.get(row.arm, 0.0), row.budget_flops)
    return [row for row in rows if row.budget_flops == most[row.arm]]


def _where(probe: Probe) -> Figure:
    rows = [
        {
            "who": f"{row.arm}, {row.given}",
            "boundary": row.boundary,
            "signal": row.signal,
            "auc": row.auc,
            "auc_text": text.general(row.auc),
        }
        for row in _largest(probe.segmentation)
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
            "arm's best model at its largest budget; 0.5 is no knowledge. `bigram` needs no network."
        ),
        alt=f"{len(rows)} AUCs; the table of the probe holds the same numbers.",
        source="../probe.json",
        chart=alt.concat(*panels, columns=2).properties(name="boundaries"),
        columns=2,
        colours="objectives",
    )


def _worth(probe: Probe) -> Figure:
    rows = [
        {
            "arm": row.arm + (" (out of distribution)" if row.out_of_distribution else ""),
            "reach": f"within {row.reach} byte{'s' * (row.reach > 1)}",
            "share": visible / row.visible[-1],
            "nats": nats,
            "low": nats - 1.96 * error,
            "high": nats + 1.96 * error,
            "shown": f"{visible} of {row.visible[-1]}",
            "nats_text": text.general(nats),
        }
        for row in _largest(probe.fragility)
        for visible, nats, error in zip(row.visible, row.nats, row.nats_se, strict=True)
    ]
    panels: list[Any] = []
    for reach in dict.fromkeys(row["reach"] for row in rows):
        own = [row for row in rows if row["reach"] == reach]
        base: dict[str, Any] = {
            "x": alt.X("share:Q", title="neighbours visible", axis=alt.Axis(format="%", tickCount=5)),
            "color": alt.Color("arm:N", title="arm"),
        }
        tips = tooltips(("arm", "arm"), ("shown", "visible"), ("nats_text", "nats"))
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
    )
