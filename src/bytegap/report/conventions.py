"""How far the answers depend on what counts as a FLOP: the headlines under every convention, as table and figure."""

from typing import Any

import altair as alt

from bytegap.records import Estimand, Recount
from bytegap.report import text
from bytegap.report.answers import objectives
from bytegap.report.figures import Figure, data, present, tooltips
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, number, words

_ROW_HEIGHT = 26


def table(inputs: Inputs) -> Table | None:
    """A row a convention and answer; None where the fit has only its own convention."""
    found = inputs.fit.by_convention
    if len(found) < 2:
        return None
    return Table(
        name="conventions",
        title="Answers by FLOPs convention",
        caption=(
            "The same runs with their compute counted otherwise, asked the headlines' questions at the same loss. Runs "
            "that then differ in compute are moved to their cell's common one along the frontier's slope, by at most "
            "the factor given. Only the first convention has the fit's full number of bootstraps."
        ),
        source="../fit.json",
        columns=(
            Column("convention", "convention", numeric=False),
            Column("name", "estimand", numeric=False),
            Column("objective", "objective", numeric=False),
            Column("arms", "arms", numeric=False),
            Column("form", "form of frontier", numeric=False),
            Column("at_bpb", "at BPB"),
            Column("bound", "bound", numeric=False),
            Column("value", "value"),
            Column("low", "low"),
            Column("high", "high"),
            Column("label", "label", numeric=False),
            Column("cells_in_frontier", "cells in frontiers"),
            Column("largest_move", "largest move of C"),
            Column("bootstraps", "bootstraps"),
            Column("left_out", "arms left out", numeric=False),
        ),
        rows=tuple(_entry(one, item) for one in found for item in one.estimands),
    )


def _entry(one: Recount, item: Estimand) -> tuple[Item, ...]:
    show = text.SHOW[item.name]
    low, high = item.quantity.ci95 or (None, None)
    return (
        words(one.convention),
        words(item.name),
        words(item.objective),
        words(" / ".join(item.arms)),
        words(item.form),
        number(item.at_bpb, text.bpb),
        words(item.bound),
        number(item.quantity.value, show),
        number(low, show),
        number(high, show),
        words(item.label),
        number(one.cells_in_frontier),
        number(one.largest_move, text.ratio),
        number(one.bootstraps),
        words(", ".join(one.left_out)),
    )


def figure(inputs: Inputs) -> Figure | None:
    """The headline overheads, a line a convention; None where there is nothing to compare."""
    found = inputs.fit.by_convention
    rows = [
        _mark(one, item)
        for one in found
        for item in one.estimands
        if item.name == "overhead" and item.quantity.value is not None
    ]
    names = [one.convention for one in found]
    if len(names) < 2 or not rows:
        return None
    shown = [key for key in objectives(inputs) if any(row["objective"] == key for row in rows)]
    base: dict[str, Any] = {
        "y": alt.Y("convention:N", title=None, sort=names).axis(labelLimit=220),
        "yOffset": alt.YOffset("objective:N").scale(domain=shown),
        "color": alt.Color("objective:N", title="objective").scale(domain=objectives(inputs)).legend(values=shown),
    }
    k = alt.X("value:Q", title="overhead k").scale(type="log", nice=False, padding=12)
    layers = present(
        alt.Chart(data(row for row in rows if "low" in row))
        .mark_rule(strokeWidth=1.2)
        .encode(**base, x=alt.X("low:Q").scale(type="log"), x2="high:Q"),
        alt.Chart(data(rows)).mark_point(filled=True, size=54).encode(**base, x=k, tooltip=tooltips(*_TIPS)),
    )
    return Figure(
        name="conventions",
        title="Answers by FLOPs convention",
        caption=(
            "The headline overheads of bytes with the same runs' compute counted otherwise, at the same loss; bars are "
            "95 % intervals. An answer that moves far depends on what one calls compute."
        ),
        alt=f"{len(rows)} overheads under {len(names)} conventions; the table of conventions holds the same numbers.",
        source="../fit.json",
        chart=alt.layer(*layers).properties(width=520, height=_ROW_HEIGHT * len(names), name="conventions"),
        columns=1,
        colours="objectives",
        tables=("conventions",),
    )


_TIPS = (
    ("convention", "convention"),
    ("objective", "objective"),
    ("pair", "arms"),
    ("answer", "overhead"),
    ("label", "how it is known"),
)


def _mark(one: Recount, item: Estimand) -> dict[str, Any]:
    row: dict[str, Any] = {
        "convention": one.convention,
        "objective": item.objective,
        "arms": item.arms,
        "pair": " / ".join(item.arms),
        "value": item.quantity.value,
        "answer": f"{text.answer(item)} {text.interval(item.quantity, text.ratio)}".strip(),
        "label": item.label,
    }
    if item.quantity.ci95:
        row["low"], row["high"] = item.quantity.ci95
    return row
