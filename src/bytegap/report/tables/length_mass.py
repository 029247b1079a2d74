"""The table of ln Z(n), the mass of all token sequences of n bytes, with H(m | n) of the same windows."""

from typing import NamedTuple

from bytegap.cost.bits import bits_per_byte
from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Table
from bytegap.schema.evaluate import LengthMassNumbers
from bytegap.schema.runs import RunRow

_ABOUT = About(
    name="length_mass",
    title="Mass of a length",
    caption=(
        "Z(n) is the probability that a model gives to all token sequences of n bytes together, of at most as many "
        "tokens as it was trained on: here the best run of an arm at its largest budget, and the n of the median test "
        f"window. A code that knows n could save {fmt.MINUS}ln Z(n) by renormalizing. A masked model is given the "
        "token count m; it is charged ln Z(n) for that where ln Z(n) is above 0, and nothing where it is 0 or below. "
        "H(m | n) is what sending the token count separately would cost, an upper limit of any charge. A dash for "
        "ln Z(n) says that no sample can have n bytes."
    ),
    source="../runs.jsonl",
)


class _Scored(NamedTuple):
    """A run whose mass was estimated."""

    row: RunRow
    mass: LengthMassNumbers
    count_entropy_bpb: float | None
    """H(m | n) of its tokenizer on the test windows, if their manifest is here."""

    @property
    def saved_bpb(self) -> float | None:
        """-ln Z(n) in bits per byte; 0, not -0, where Z(n) is 1."""
        log_mass = self.mass.log_mass
        return None if log_mass is None else bits_per_byte(0.0 - log_mass, self.mass.bytes)


_COLUMNS: tuple[Column[_Scored], ...] = (
    Column("arm", "arm", lambda scored: scored.row.arm),
    Column("budget_flops", "budget, FLOPs", lambda scored: scored.row.budget_flops, fmt.flops),
    Column("bytes", "n, bytes", lambda scored: scored.mass.bytes, fmt.integer),
    Column("log_mass", "ln Z(n), nats", lambda scored: scored.mass.log_mass, fmt.four_digits),
    Column(
        "log_mass_se",
        "standard error",
        lambda scored: None if scored.mass.log_mass is None else scored.mass.log_mass_se,
        fmt.four_digits,
    ),
    Column("saved_bpb", f"{fmt.MINUS}ln Z(n), BPB", lambda scored: scored.saved_bpb, fmt.bpb),
    Column("count_entropy_bpb", "H(m | n), BPB", lambda scored: scored.count_entropy_bpb, fmt.bpb),
    Column("least_tokens", "summed from, tokens", lambda scored: scored.mass.token_counts[0], fmt.integer),
    Column("most_tokens", "to, tokens", lambda scored: scored.mass.token_counts[1], fmt.integer),
    Column("samples", "samples of each", lambda scored: scored.mass.samples, fmt.integer),
)


def table(inputs: Inputs) -> Table | None:
    """One row per run that has a length mass, in the order of the arms; None where no run has one."""
    scored = [
        _Scored(row, row.length_mass, _count_entropy_bpb(inputs, row.tokenizer))
        for row in sorted(inputs.runs, key=lambda row: inputs.arms.index(row.arm))
        if row.length_mass
    ]
    return Table.of(_ABOUT, scored, _COLUMNS) if scored else None


def _count_entropy_bpb(inputs: Inputs, tokenizer: str) -> float | None:
    own = inputs.windows.splits["test"].tokenizers.get(tokenizer) if inputs.windows else None
    return own.count_entropy_bpb if own else None
