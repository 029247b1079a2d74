"""Mutual information of bytes against their distance under each permutation, from order-controls.json."""

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import DataRow, Figure, inline, tooltips
from bytegap.report.inputs import Inputs

_MIN_BITS = 1e-4
"""Values below are noise of the sample and not drawn."""


def figure(inputs: Inputs) -> Figure | None:
    """I(d), one curve per permutation, one panel per tokenizer; None without at least two permutations."""
    controls = inputs.order_controls.controls if inputs.order_controls else ()
    permutations = list(dict.fromkeys(control.permutation for control in controls))
    if len(permutations) < 2:
        return None
    colour = alt.Color("permutation:N", title="permutation", scale=alt.Scale(domain=permutations))
    panels: list[alt.LayerChart | alt.FacetChart] = []
    for tokenizer in dict.fromkeys(control.tokenizer for control in controls):
        rows: list[DataRow] = [
            {
                "permutation": control.permutation,
                "distance": distance,
                "bits": bits,
                "bits_text": fmt.four_digits(bits),
            }
            for control in controls
            if control.tokenizer == tokenizer
            for distance, bits in zip(control.distances, control.information_bits, strict=True)
            if bits > _MIN_BITS
        ]
        chart = alt.Chart(inline(rows)).encode(
            x=alt.X("distance:Q", title="distance d, bytes").scale(type="log", base=2),
            y=alt.Y("bits:Q", title="I(d), bits").scale(type="log"),
            color=colour,
            tooltip=tooltips(
                ("permutation", "permutation"), ("distance", "distance, bytes"), ("bits_text", "I(d), bits")
            ),
        )
        layers = (chart.mark_line(strokeWidth=1.6), chart.mark_point(filled=True, size=18))
        panels.append(alt.layer(*layers).properties(title=tokenizer, width=330, height=260))
    return Figure(
        name="mutual_information",
        title="Mutual information by distance",
        caption=(
            "Mutual information I(d) between bytes d apart in the training text under each permutation, "
            f"shuffle-corrected. Values below {_MIN_BITS:g} bits are noise and not drawn. The sizes of windows and "
            "blocks are in tokens."
        ),
        alt=(
            f"Mutual information under {len(permutations)} permutations; the table of order controls holds it at a "
            "few distances."
        ),
        source="../order-controls.json",
        chart=alt.concat(*panels, columns=2).properties(name="mutual_information"),
        columns=2,
        palette="objectives",
        tables=("order_controls",),
    )
