"""Tables of frontier exponents, and of the shares of overheads that variants close."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.schema.fit import GapClosed
from bytegap.schema.frontier import ExponentNotBelow, NestedModel, SlopePair

Pair = SlopePair | ExponentNotBelow

_ARMS = Column[Pair]("arms", "arms", lambda pair: " / ".join(pair.arms))
_COMPARED: tuple[Column[Pair] | Interval[Pair], ...] = (
    Column("exponent_one", "g of the first", lambda p: p.exponents[0].value if p.exponents else None, fmt.four_digits),
    Column(
        "exponent_other", "g of the second", lambda p: p.exponents[1].value if p.exponents else None, fmt.four_digits
    ),
    Interval("difference", "difference", lambda pair: pair.difference, fmt.four_digits),
    Column("low_90", "90 % low", lambda pair: pair.ci90[0] if pair.ci90 else None, fmt.four_digits),
    Column("high_90", "high", lambda pair: pair.ci90[1] if pair.ci90 else None, fmt.four_digits),
    Column("margin", "margin", lambda pair: pair.margin, fmt.four_digits),
)
_POWER = Column[Pair]("power", "power", lambda pair: pair.power, fmt.four_digits)
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
    _ARMS,
    *_COMPARED,
    Column("equivalent", "equivalent", lambda pair: pair.equivalent),
    _POWER,
    Column("least_margin", "margin for power 0.8", lambda pair: pair.least_margin, fmt.four_digits),
)
_NOT_BELOW = About(
    name="slopes_not_below",
    title="Non-inferiority of exponents",
    caption=(
        "Exponents g of ln L over the losses that both arms reach, of the pairs that the study names: the first is not "
        "below the second where the lower end of the 90 % CI of the difference, which covers all forms of the "
        "frontier, is above minus the margin that the study states beforehand. Power is the probability of this "
        "result if the exponents are equal."
    ),
    source="../fit.json",
)
_NOT_BELOW_COLUMNS: tuple[Column[ExponentNotBelow] | Interval[ExponentNotBelow], ...] = (
    _ARMS,
    Column("from_bpb", "from BPB", lambda pair: pair.bpb_shared[1] if pair.bpb_shared else None, fmt.four_digits),
    Column("to_bpb", "to BPB", lambda pair: pair.bpb_shared[0] if pair.bpb_shared else None, fmt.four_digits),
    *_COMPARED,
    Column("not_below", "not below", lambda pair: pair.not_below),
    _POWER,
)
_GAPS = About(
    name="gaps_closed",
    title="Gaps closed",
    caption=(
        "How much of the overhead k of the plain arms a variant closes, 1 - ln k(variant) / ln k(plain), at a loss "
        "that all of them reach, both from the same draws; the CI covers all forms of the frontier."
    ),
    source="../fit.json",
)
_GAP_COLUMNS: tuple[Column[GapClosed] | Interval[GapClosed], ...] = (
    Column("variant", "variant", lambda found: " / ".join(found.arms[:2])),
    Column("plain", "plain", lambda found: " / ".join(found.arms[2:])),
    Column("at_bpb", "at BPB", lambda found: found.at_bpb, fmt.four_digits),
    Interval("ln_overhead", "ln k of the variant", lambda found: found.ln_overhead, fmt.four_digits),
    Interval("plain_ln_overhead", "ln k of the plain arms", lambda found: found.plain_ln_overhead, fmt.four_digits),
    Column("bound", "bound", lambda found: found.bound),
    Column("closed", "closed", lambda found: found.closed.value if found.closed else None, fmt.four_digits),
    Column("low", "95 % low", lambda found: found.ci95[0] if found.ci95 else None, fmt.four_digits),
    Column("high", "high", lambda found: found.ci95[1] if found.ci95 else None, fmt.four_digits),
    Column(
        "executed",
        "closed, by executed FLOPs",
        lambda found: found.executed.closed.value if found.executed and found.executed.closed else None,
        fmt.four_digits,
    ),
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


def slopes_not_below(inputs: Inputs) -> Table | None:
    """One row per one-sided test of two exponents; None where the study names none."""
    found = inputs.fit.slopes_not_below
    return Table.of(_NOT_BELOW, found, _NOT_BELOW_COLUMNS) if found else None


def gaps_closed(inputs: Inputs) -> Table | None:
    """One row per overhead that closes a share of another; None where the study names none."""
    return Table.of(_GAPS, inputs.fit.gaps_closed, _GAP_COLUMNS) if inputs.fit.gaps_closed else None
