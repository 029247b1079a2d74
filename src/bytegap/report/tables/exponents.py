"""Tables of frontier exponents: which arms share one, and which pairs of arms have equal ones."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.schema.fit import NestedModel, SlopePair

_SLOPES = About(
    name="slopes",
    title="Equivalence of exponents",
    caption=(
        "Exponents g (power law) of the pairs of arms that the study names, with the equivalence margin it states "
        "beforehand: equivalent where the 90 % CI of the difference lies within the margin. Power is the "
        "probability of this result if the exponents are equal; the last column is the margin for a power of 0.8."
    ),
    source="../fit.json",
)
_SLOPE_COLUMNS: tuple[Column[SlopePair] | Interval[SlopePair], ...] = (
    Column("arms", "arms", lambda pair: " / ".join(pair.arms)),
    Column("exponent_one", "g of the first", lambda p: p.exponents[0].value if p.exponents else None, fmt.four_digits),
    Column(
        "exponent_other", "g of the second", lambda p: p.exponents[1].value if p.exponents else None, fmt.four_digits
    ),
    Interval("difference", "difference", lambda pair: pair.difference, fmt.four_digits),
    Column("low_90", "90 % low", lambda pair: pair.ci90[0] if pair.ci90 else None, fmt.four_digits),
    Column("high_90", "high", lambda pair: pair.ci90[1] if pair.ci90 else None, fmt.four_digits),
    Column("margin", "margin", lambda pair: pair.margin, fmt.four_digits),
    Column("equivalent", "equivalent", lambda pair: pair.equivalent),
    Column("power", "power", lambda pair: pair.power, fmt.four_digits),
    Column("least_margin", "margin for power 0.8", lambda pair: pair.least_margin, fmt.four_digits),
)


def separate_laws(inputs: Inputs) -> Table | None:
    """One row per nested model of which arms share an exponent; None where the fit has no such test."""
    test = inputs.fit.separate_laws
    if test is None:
        return None
    about = About(
        name="separate_laws",
        title="Nested models of the exponent",
        caption=(
            f"The exponent g of the frontiers ({test.form}) is shared by all arms, by the arms of one objective or "
            "tokenizer, or by none; p-value against the last. The simplest model that is not rejected at 5 % is marked."
        ),
        source="../fit.json",
    )
    columns: tuple[Column[NestedModel], ...] = (
        Column("shared_by", "exponent shared by", lambda model: model.shared_by),
        Column("exponents", "exponents", lambda model: model.exponents, str),
        Column("chi_square", "chi-square", lambda model: model.chi_square, fmt.four_digits),
        Column("dof", "degrees of freedom", lambda model: model.dof, str),
        Column(
            "irreducible_loss_bpb", "irreducible loss E, BPB", lambda model: model.irreducible_loss_bpb, fmt.four_digits
        ),
        Column("p_value", "p", lambda model: model.p_value, fmt.four_digits),
        Column("simplest", "simplest", lambda model: model.shared_by == test.simplest),
    )
    return Table.of(about, test.models, columns)


def slopes(inputs: Inputs) -> Table | None:
    """One row per pair of arms whose exponents the study compares; None where it compares none."""
    return Table.of(_SLOPES, inputs.fit.slopes, _SLOPE_COLUMNS) if inputs.fit.slopes else None
