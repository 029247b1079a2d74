"""Tables of how steep frontiers are: which arms share an exponent, which pairs are equally steep."""

from bytegap.records import SlopePair
from bytegap.report import text
from bytegap.report.inputs import Inputs
from bytegap.report.tables import UNKNOWN, Column, Item, Table, interval, number, words, yes


def separate_laws(inputs: Inputs) -> Table | None:
    """A row a nested model: which arms share an exponent, and whether the minima bear it; None if not asked."""
    test = inputs.fit.separate_laws
    if test is None:
        return None
    rows = [
        (
            words(model.shared_by),
            number(model.exponents),
            number(model.chi_square, text.general),
            number(model.freedom),
            number(model.floor_bpb, text.general),
            number(model.p_value, text.general),
            yes(model.shared_by == test.simplest),
        )
        for model in test.models
    ]
    return Table(
        name="separate_laws",
        title="Are separate laws needed?",
        caption=(
            f"Exponent g of the frontiers ({test.form}) shared by all arms, by an objective's, by a symbol set's, or "
            "one an arm: p against the last; the simplest not rejected at 5 % is marked."
        ),
        source="../fit.json",
        columns=(
            Column("shared_by", "exponent shared by", numeric=False),
            Column("exponents", "exponents"),
            Column("chi_square", "chi-square"),
            Column("freedom", "degrees of freedom"),
            Column("floor_bpb", "floor E, BPB"),
            Column("p_value", "p"),
            Column("simplest", "simplest", numeric=False),
        ),
        rows=tuple(rows),
    )


def slopes(inputs: Inputs) -> Table | None:
    """A row a pair of arms that the study asks about; None where it asks about none."""

    def row(pair: SlopePair) -> tuple[Item, ...]:
        one, other = pair.exponents or (UNKNOWN, UNKNOWN)
        low, high = pair.ci90 or (None, None)
        return (
            words(" / ".join(pair.arms)),
            number(one.value, text.general),
            number(other.value, text.general),
            *interval(pair.difference or UNKNOWN, text.general),
            number(low, text.general),
            number(high, text.general),
            number(pair.margin, text.general),
            yes(pair.equivalent),
            number(pair.power, text.general),
            number(pair.least_margin, text.general),
        )

    if not inputs.fit.slopes:
        return None
    return Table(
        name="slopes",
        title="Are these arms equally steep?",
        caption=(
            "Exponents g (no floor) of pairs that the study names, with a margin named beforehand: equivalent where "
            "the 90 % interval of the difference lies within it. Power: how often such a study would say so, were they "
            "the same; the last column is the margin at which it would 80 times in 100."
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
            Column("least_margin", "margin of power 0.8"),
        ),
        rows=tuple(row(pair) for pair in inputs.fit.slopes),
    )
