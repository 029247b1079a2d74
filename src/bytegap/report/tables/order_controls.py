"""The table of order-controls.json: what each permutation does to the training text."""

from collections.abc import Callable

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Table
from bytegap.schema.data import OrderControl

_DISTANCES = (1, 4, 16, 64)
"""Distances in bytes that get a column, if every permutation was measured at them."""
_ABOUT = About(
    name="order_controls",
    title="Order controls",
    caption=(
        "Effect of each permutation on the bytes of the training text. I(d) is the mutual information between "
        "bytes d apart, shuffle-corrected; local information is its sum up to d = 4, also as a share of the "
        "unpermuted text's; pairs kept is the share of byte pairs at distance d that the unpermuted text also has."
    ),
    source="../order-controls.json",
)


def table(inputs: Inputs) -> Table | None:
    """One row per permutation and tokenizer; None without order-controls.json."""
    if inputs.order_controls is None:
        return None
    controls = inputs.order_controls.controls
    distances = [d for d in _DISTANCES if all(d in control.distances for control in controls)]
    columns: tuple[Column[OrderControl], ...] = (
        Column("tokenizer", "tokenizer", lambda row: row.tokenizer),
        Column("permutation", "permutation", lambda row: row.permutation),
        Column("bytes", "bytes", lambda row: row.bytes, fmt.count),
        Column("bytes_per_token", "bytes per token", lambda row: row.bytes_per_token, fmt.four_digits),
        Column("same_histogram", "same byte histogram", lambda row: row.same_histogram),
        Column("local_bits", "local information, bits", lambda row: row.local_bits, fmt.four_digits),
        Column("local_kept", "share kept", lambda row: row.local_kept, fmt.four_digits),
        *(Column(f"information_bits_{d}", f"I({d}), bits", _information(d), fmt.four_digits) for d in distances),
        *(Column(f"pairs_kept_{d}", f"pairs kept at {d}", _pairs_kept(d), fmt.four_digits) for d in distances),
        Column("added_bits_per_token", "added bits per token", lambda row: row.added_bits_per_token, fmt.four_digits),
    )
    return Table.of(_ABOUT, controls, columns)


def _information(distance: int) -> Callable[[OrderControl], float]:
    return lambda row: row.information_bits[row.distances.index(distance)]


def _pairs_kept(distance: int) -> Callable[[OrderControl], float]:
    return lambda row: row.pairs_kept[row.distances.index(distance)]
