"""Figures of the estimands: overhead and interaction against loss, the gap against compute."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bytegap.records import Estimand
from bytegap.report import text
from bytegap.report.figures import Figure, data, flops_axis, picked, present, tooltips
from bytegap.report.inputs import Inputs

HEIGHT = 240
_KIND_HEIGHT = 26
_LEAST_SIDE_BY_SIDE = 3
_SHAPES = {
    "estimated": "circle",
    "censored, at least": "triangle-up",
    "censored, at most": "triangle-down",
    "extrapolated": "diamond",
}
_TIPS = (
    ("objective", "objective"),
    ("pair", "arms"),
    ("where", "where"),
    ("answer", "value"),
    ("label", "how it is known"),
    ("form", "form"),
)
_CAPTIONS = {
    "overhead": "How many times the compute bytes need to reach the same loss; better models to the right.",
    "interaction": (
        "How much more one objective pays for bytes than another, or one order than that of the text, as the logarithm "
        "of the ratio of their overheads, at equal loss: the first less the second; above 0 the first pays more."
    ),
    "gap": "Bits per byte that bytes lose at equal training compute.",
}
_TITLES = {"overhead": "overhead k", "interaction": "interaction, ln ratio", "gap": "gap, BPB"}
_READING = (
    "Bars: 95 % intervals. Circles are estimated, triangles bounds, hollow diamonds extrapolated and never headlined."
)
# Where an answer says "no difference".
_NEUTRAL = {
    "overhead": (1.0, "parity"),
    "interaction": (0.0, "no interaction"),
    "gap": (0.0, "no gap"),
}


def estimands(inputs: Inputs, name: str) -> list[Estimand]:
    """Those of one name that have a value and belong on this figure's axis."""

    def belongs(item: Estimand) -> bool:
        # At equal compute an overhead has both places; it is secondary, and in the table only.
        return item.at_flops is not None if name == "gap" else item.at_bpb is not None and item.at_flops is None

    return [
        item for item in inputs.fit.estimands if item.name == name and item.quantity.value is not None and belongs(item)
    ]


def objectives(inputs: Inputs) -> list[str]:
    """Every objective an estimand speaks of, in the file's order."""
    return list(dict.fromkeys(item.objective for item in inputs.fit.estimands))


def figure(inputs: Inputs, name: str) -> Figure | None:
    """One estimand's figure; None where fit.json has none to show."""
    items = estimands(inputs, name)
    if not items:
        return None
    lead = inputs.forms[0] if inputs.forms else items[0].form
    leads = _leads(inputs, items)
    rows = [_row(item, leads[tuple(item.arms)]) for item in items]
    known = [key for key in _SHAPES if any(row["known"] == key for row in rows)]
    shown = [key for key in objectives(inputs) if any(row["objective"] == key for row in rows)]
    pick = alt.selection_point(name="objective", fields=["objective"], bind="legend", toggle="true")
    fade = alt.when(pick, alt.datum.lead).then(alt.value(1)).when(pick).then(alt.value(0.35)).otherwise(alt.value(0.05))
    x = (
        alt.X("at:Q").scale(type="log", nice=False, padding=16).axis(flops_axis(inputs))
        if name == "gap"
        else alt.X("at:Q", title="loss, bits per byte")
        .scale(reverse=True, zero=False, padding=16)
        .axis(tickCount=6, labelOverlap="greedy")
    )
    scale: dict[str, Any] = {"type": "log", "nice": False, "padding": 8} if name == "overhead" else {"zero": False}
    y = alt.Y("value:Q", title=_TITLES[name]).scale(**scale).axis(labelOverlap="greedy", tickCount=6)
    # The palette is by place among all objectives, so that a colour means the same in every figure.
    colour = alt.Color("objective:N", title="objective").scale(domain=objectives(inputs))
    colour = colour.legend(values=shown) if len(shown) > 1 else colour.legend(None)
    shape = alt.Shape("known:N", title="known as").scale(domain=known, range=[_SHAPES[key] for key in known])
    shape = shape if len(known) > 1 else shape.legend(None)
    base: dict[str, Any] = {"x": x, "y": y, "color": colour, "opacity": fade, "detail": "form:N"}
    tips = tooltips(*_TIPS)
    solid = [row for row in rows if row["known"] == "estimated"]
    layers = present(
        *_neutral(name),
        alt.Chart(data(solid)).mark_line(strokeWidth=1.5).encode(**base),
        alt.Chart(data(row for row in rows if "low" in row))
        .mark_rule(strokeWidth=1.2)
        .encode(**base | {"y": alt.Y("low:Q"), "y2": "high:Q"}),
        alt.Chart(data(row for row in rows if row["known"] != "extrapolated"))
        .mark_point(filled=True, size=64)
        .encode(**base, shape=shape, tooltip=tips),
        alt.Chart(data(row for row in rows if row["known"] == "extrapolated"))
        .mark_point(filled=False, size=54)
        .encode(**base, shape=shape, tooltip=tips),
    )
    others = [form for form in inputs.forms if form != lead]
    faint = f" Full strength: {lead}, where arms have it; faint: {', '.join(others)} beside it." if others else ""
    return Figure(
        name=name,
        title=text.LONG[name][0].upper() + text.LONG[name][1:],
        caption=f"{_CAPTIONS[name]} {_READING}{faint}",
        alt=f"{len(items)} values of {text.LONG[name]}; {_ends(rows)}. The table of estimands holds all.",
        source="../fit.json",
        chart=picked(layers, pick).properties(width=640, height=HEIGHT, name=name),
        columns=1,
        colours="objectives",
        tables=("estimands",),
    )


def side_by_side(inputs: Inputs) -> list[Figure]:
    """Headline overheads, and gaps of minima, one above the other; none where they are so few that others tell all."""
    overheads = [item for item in inputs.fit.estimands if item.headline and item.name == "overhead"]
    at_minima = [item for item in estimands(inputs, "gap") if item.form == "minima"]
    largest = {(item.objective, *item.arms): item for item in at_minima}  # budgets ascend
    sizes = {floor.tokens: floor.vocabulary for floor in inputs.fit.floors}
    gaps = sorted(largest.values(), key=lambda gap: (gap.objective, sizes.get(inputs.traits(gap.arms[1])[0], 0)))
    found = [
        _side_by_side(
            inputs,
            overheads,
            name="kinds",
            title="Overhead side by side",
            caption=(
                "The headline overhead of bytes over each symbol set under each objective and order, each at the loss "
                "named in the table of estimands. Bars: 95 % intervals; triangles are bounds."
            ),
        ),
        _side_by_side(
            inputs,
            gaps,
            name="gaps",
            title="Gap side by side",
            caption=(
                "How much higher the minimum of bytes lies than that of each symbol set, at the largest budget that "
                "has one of both: pairs of which an arm has no frontier. Bars: 95 % intervals."
            ),
        ),
    ]
    return [figure for figure in found if figure]


def _side_by_side(inputs: Inputs, items: list[Estimand], *, name: str, title: str, caption: str) -> Figure | None:
    if len(items) < _LEAST_SIDE_BY_SIDE:
        return None
    asked = items[0].name
    rows = [_row(item, item.form) | {"who": f"{item.objective}, {inputs.traits(item.arms[1])[0]}"} for item in items]
    known = [key for key in _SHAPES if any(row["known"] == key for row in rows)]
    y = alt.Y("who:N", title=None, sort=[row["who"] for row in rows]).axis(labelLimit=260)
    x = alt.Scale(type="log", nice=False, padding=16) if asked == "overhead" else alt.Scale(zero=False, padding=16)
    colour = alt.Color("objective:N", scale=alt.Scale(domain=objectives(inputs)), legend=None)
    shape = alt.Shape("known:N", title="known as").scale(domain=known, range=[_SHAPES[key] for key in known])
    neutral = alt.Chart(data([{"value": _NEUTRAL[asked][0]}])).mark_rule(style="one", strokeDash=[2, 2])
    layers = present(
        neutral.encode(x=alt.X("value:Q", scale=x)),
        alt.Chart(data(row for row in rows if "low" in row))
        .mark_rule(strokeWidth=1.2)
        .encode(x=alt.X("low:Q", scale=x), x2="high:Q", y=y, color=colour),
        alt.Chart(data(rows))
        .mark_point(filled=True, size=64)
        .encode(
            x=alt.X("value:Q", title=_TITLES[asked], scale=x),
            y=y,
            color=colour,
            shape=shape if len(known) > 1 else shape.legend(None),
            tooltip=tooltips(*_TIPS, ("who", "beside")),
        ),
    )
    return Figure(
        name=name,
        title=title,
        caption=caption,
        alt=f"{len(items)} values of {text.LONG[asked]}; the table of estimands holds the same numbers.",
        source="../fit.json",
        chart=alt.layer(*layers).properties(width=520, height=_KIND_HEIGHT * len(rows), name=name),
        columns=1,
        colours="objectives",
        tables=("estimands",),
    )


def _ends(rows: list[dict[str, Any]]) -> str:
    """The first and the last of each objective's own, in words: what is to be seen at a glance."""
    own: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["lead"]:
            own.setdefault(row["objective"], []).append(row)
    return "; ".join(
        f"{objective} from {found[0]['answer']} {found[0]['where']} to {found[-1]['answer']} {found[-1]['where']}"
        for objective, found in own.items()
    )


def _leads(inputs: Inputs, items: Sequence[Estimand]) -> dict[tuple[str, ...], str]:
    """The form that leads, of each group of arms: an order that was changed has not all that the text's has."""
    place = {form: number for number, form in enumerate(inputs.forms)}
    leads: dict[tuple[str, ...], str] = {}
    for item in sorted(items, key=lambda item: place.get(item.form, len(place))):
        leads.setdefault(tuple(item.arms), item.form)
    return leads


def _row(item: Estimand, lead: str) -> dict[str, Any]:
    known = item.label if item.label != "censored" else f"censored, at {'most' if item.bound == '<' else 'least'}"
    row: dict[str, Any] = {
        "at": item.at_flops if item.name == "gap" else item.at_bpb,
        "value": item.quantity.value,
        "objective": item.objective,
        "arms": item.arms,
        "pair": " / ".join(item.arms),
        "form": item.form,
        "lead": item.form in {lead, "minima"},
        "known": known,
        "label": item.label,
        "where": text.place(item),
        "answer": f"{text.answer(item)} {text.interval(item.quantity, text.SHOW[item.name])}".strip(),
    }
    if item.quantity.ci95:
        row["low"], row["high"] = item.quantity.ci95
    return row


def _neutral(name: str) -> list[alt.Chart]:
    value, label = _NEUTRAL[name]
    here = alt.Chart(data([{"value": value, "words": label}]))
    return [
        here.mark_rule(style="one", strokeDash=[2, 2]).encode(y="value:Q"),
        here.mark_text(style="note", align="left", baseline="bottom", dx=4, dy=-2).encode(
            y="value:Q", x=alt.value(0), text="words:N"
        ),
    ]
