"""What each order does to the text: a table of controls, and mutual information against distance."""

from typing import Any

import altair as alt

from bytegap.records import Control
from bytegap.report import text
from bytegap.report.figures import Figure, data, tooltips
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, number, words

_NEAR = (1, 4, 16, 64)
_LEAST_BITS = 1e-4  # below this the sample's own noise is drawn


def table(inputs: Inputs) -> Table | None:
    """A row an order and symbol set; None where the study has no controls."""
    if inputs.controls is None:
        return None
    near = [d for d in _NEAR if all(d in each.distances for each in inputs.controls.controls)]
    return Table(
        name="controls",
        title="Order controls",
        caption=(
            "What each order does to the bytes of the training text. I(d) is the mutual information of bytes d apart, "
            "shuffle-corrected; local information its sum up to d = 4, beside that of the text unchanged; pairs kept "
            "the share of pairs at a distance that the text unchanged has as well."
        ),
        source="../controls.json",
        columns=(
            Column("tokens", "symbols", numeric=False),
            Column("order", "order", numeric=False),
            Column("bytes", "bytes"),
            Column("bytes_per_symbol", "bytes a symbol"),
            Column("same_histogram", "same histogram", numeric=False),
            Column("local_bits", "local information, bits"),
            Column("local_kept", "kept"),
            *(Column(f"information_bits_{d}", f"I({d}), bits") for d in near),
            *(Column(f"pairs_kept_{d}", f"pairs kept at {d}") for d in near),
            Column("added_bits_per_symbol", "bits a symbol added"),
        ),
        rows=tuple(_entry(each, near) for each in inputs.controls.controls),
    )


def _entry(each: Control, near: list[int]) -> tuple[Item, ...]:
    at = [each.distances.index(d) for d in near]
    return (
        words(each.tokens),
        words(each.order),
        number(each.bytes, text.count),
        number(each.bytes_per_symbol, text.general),
        Item(each.same_histogram, "yes" if each.same_histogram else "no"),
        number(each.local_bits, text.general),
        number(each.local_kept, text.general),
        *(number(each.information_bits[place], text.general) for place in at),
        *(number(each.pairs_kept[place], text.general) for place in at),
        number(each.added_bits_per_symbol, text.general),
    )


def figure(inputs: Inputs) -> Figure | None:
    """I(d), a line an order, a panel a symbol set; None where no order is changed."""
    found = inputs.controls.controls if inputs.controls else []
    orders = list(dict.fromkeys(each.order for each in found))
    if len(orders) < 2:
        return None
    sets = list(dict.fromkeys(each.tokens for each in found))
    colour = alt.Color("order:N", title="order", scale=alt.Scale(domain=orders))
    panels: list[Any] = []
    for tokens in sets:
        rows = [
            {"order": each.order, "d": d, "bits": bits, "bits_text": text.general(bits)}
            for each in found
            if each.tokens == tokens
            for d, bits in zip(each.distances, each.information_bits, strict=True)
            if bits > _LEAST_BITS
        ]
        chart = alt.Chart(data(rows)).encode(
            x=alt.X("d:Q", title="distance d, bytes").scale(type="log", base=2),
            y=alt.Y("bits:Q", title="I(d), bits").scale(type="log"),
            color=colour,
            tooltip=tooltips(("order", "order"), ("d", "bytes apart"), ("bits_text", "I(d), bits")),
        )
        panels.append(
            (chart.mark_line(strokeWidth=1.6) + chart.mark_point(filled=True, size=18)).properties(
                title=tokens, width=330, height=260
            )
        )
    return Figure(
        name="information",
        title="Mutual information by distance",
        caption=(
            f"What bytes d apart say of each other under each order, shuffle-corrected; below {_LEAST_BITS:g} bits is "
            "noise, and not drawn. Windows count in symbols."
        ),
        alt=f"Mutual information of {len(orders)} orders; the table of controls holds some of the same numbers.",
        source="../controls.json",
        chart=alt.concat(*panels, columns=2).properties(name="information"),
        columns=2,
        colours="objectives",
        tables=("controls",),
    )
