"""The table of order-controls.json: what each permutation does to the training text."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import Column, Entry, Table, number, text, yes_no
from bytegap.schema.data import OrderControl

_DISTANCES = (1, 4, 16, 64)
"""Distances in bytes that get a column, if every permutation was measured at them."""


def table(inputs: Inputs) -> Table | None:
    """One row per permutation and tokenizer; None without order-controls.json."""
    if inputs.order_controls is None:
        return None
    controls = inputs.order_controls.controls
    distances = [d for d in _DISTANCES if all(d in control.distances for control in controls)]
    return Table(
        name="order_controls",
        title="Order controls",
        caption=(
            "Effect of each permutation on the bytes of the training text. I(d) is the mutual information between "
            "bytes d apart, shuffle-corrected; local information is its sum up to d = 4, also as a share of the "
            "unpermuted text's; pairs kept is the share of byte pairs at distance d that the unpermuted text also has."
        ),
        source="../order-controls.json",
        columns=(
            Column("tokenizer", "tokenizer", numeric=False),
            Column("permutation", "permutation", numeric=False),
            Column("bytes", "bytes"),
            Column("bytes_per_token", "bytes per token"),
            Column("same_histogram", "same byte histogram", numeric=False),
            Column("local_bits", "local information, bits"),
            Column("local_kept", "share kept"),
            *(Column(f"information_bits_{d}", f"I({d}), bits") for d in distances),
            *(Column(f"pairs_kept_{d}", f"pairs kept at {d}") for d in distances),
            Column("added_bits_per_token", "added bits per token"),
        ),
        rows=tuple(_row(control, distances) for control in controls),
    )


def _row(control: OrderControl, distances: list[int]) -> tuple[Entry, ...]:
    indices = [control.distances.index(d) for d in distances]
    return (
        text(control.tokenizer),
        text(control.permutation),
        number(control.bytes, fmt.count),
        number(control.bytes_per_token, fmt.four_digits),
        yes_no(control.same_histogram),
        number(control.local_bits, fmt.four_digits),
        number(control.local_kept, fmt.four_digits),
        *(number(control.information_bits[index], fmt.four_digits) for index in indices),
        *(number(control.pairs_kept[index], fmt.four_digits) for index in indices),
        number(control.added_bits_per_token, fmt.four_digits),
    )
