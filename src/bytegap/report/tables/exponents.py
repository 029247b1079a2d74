"""Tables of frontier exponents: which arms share one, and which pairs of arms have equal ones."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import UNKNOWN, Column, Entry, Table, number, text, with_interval, yes_no
from bytegap.schema.fit import SlopePair


def separate_laws(inputs: Inputs) -> Table | None:
    """One row per nested model of which arms share an exponent; None where the fit has no such test."""
    test = inputs.fit.separate_laws
    if test is None:
        return None
    rows = [
        (
            text(model.shared_by),
            number(model.exponents),
            number(model.chi_square, fmt.four_digits),
            number(model.dof),
            number(model.irreducible_loss_bpb, fmt.four_digits),
            number(model.p_value, fmt.four_digits),
            yes_no(model.shared_by == test.simplest),
        )
        for model in test.models
    ]
    return Table(
        name="separate_laws",
        title="Nested models of the exponent",
        caption=(
            f"The exponent g of the frontiers ({test.form}) is shared by all arms, by the arms of one objective or "
            "tokenizer, or by none; p-value against the last. The simplest model that is not rejected at 5 % is marked."
        ),
        source="../fit.json",
        columns=(
            Column("shared_by", "exponent shared by", numeric=False),
            Column("exponents", "exponents"),
            Column("chi_square", "chi-square"),
            Column("dof", "degrees of freedom"),
            Column("irreducible_loss_bpb", "irreducible loss E, BPB"),
            Column("p_value", "p"),
            Column("simplest", "simplest", numeric=False),
        ),
        rows=tuple(rows),
    )


def slopes(inputs: Inputs) -> Table | None:
    """One row per pair of arms whose exponents the study compares; None where it compares none."""
    if not inputs.fit.slopes:
        return None
    return Table(
        name="slopes",
        title="Equivalence of exponents",
        caption=(
            "Exponents g (power law) of the pairs of arms that the study names, with the equivalence margin it states "
            "beforehand: equivalent where the 90 % CI of the difference lies within the margin. Power is the "
            "probability of this result if the exponents are equal; the last column is the margin for a power of 0.8."
        ),
        source="../fit.json",
        columns=(
            Column("arms", "arms", numeric=False),
            Column("exponent_one", "g of the first"),
            Column("exponent_other", "g of the second"),
            Column("difference", "difference"),
            Column("low", "95 % low"),
            Column("high", "high"),
            Column("low_90", "90 % low"),
            Column("high_90", "high"),
            Column("margin", "margin"),
            Column("equivalent", "equivalent", numeric=False),
            Column("power", "power"),
            Column("least_margin", "margin for power 0.8"),
        ),
        rows=tuple(_slope_row(pair) for pair in inputs.fit.slopes),
    )


def _slope_row(pair: SlopePair) -> tuple[Entry, ...]:
    first, second = pair.exponents or (UNKNOWN, UNKNOWN)
    low, high = pair.ci90 or (None, None)
    return (
        text(" / ".join(pair.arms)),
        number(first.value, fmt.four_digits),
        number(second.value, fmt.four_digits),
        *with_interval(pair.difference or UNKNOWN, fmt.four_digits),
        number(low, fmt.four_digits),
        number(high, fmt.four_digits),
        number(pair.margin, fmt.four_digits),
        yes_no(pair.equivalent),
        number(pair.power, fmt.four_digits),
        number(pair.least_margin, fmt.four_digits),
    )
