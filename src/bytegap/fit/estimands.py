"""Which questions a study's arms can answer, in every form of the frontier; which answers lead.

A byte arm pairs with every arm of another symbol set that is alike in objective, order and model; a
pair of another objective is held against the AR pair of the same symbol sets, and one whose order was
changed against the pair that reads the text as it stands.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from bytegap.fit.answers import Subject
from bytegap.fit.bounds import Pair, Reach
from bytegap.fit.frontiers import Arm, Curve, preferred_form
from bytegap.fit.interaction import interactions
from bytegap.fit.overhead import gaps_at_budgets, overheads
from bytegap.records import Estimand, Form

ArmPair = tuple[Arm, Arm]


def pairs(arms: Sequence[Arm]) -> list[ArmPair]:
    """(byte arm, arm of another symbol set), alike in all else."""
    return [
        (byte, other)
        for byte in arms
        for other in arms
        if byte.is_bytes
        and not other.is_bytes
        and (byte.objective, byte.order, byte.model) == (other.objective, other.order, other.model)
    ]


def pairs_over_ar(arms: Sequence[Arm]) -> list[tuple[ArmPair, ArmPair]]:
    """(a pair of another objective, the AR pair of the same symbol sets, order and model)."""
    return [
        (pair, base)
        for pair, base in _of_the_same_symbols(arms)
        if pair[0].objective != "ar" and base[0].objective == "ar" and pair[0].order == base[0].order
    ]


def pairs_over_order(arms: Sequence[Arm]) -> list[tuple[ArmPair, ArmPair]]:
    """(a pair of a changed order, the pair of the same symbol sets, objective and model in the order of the text)."""
    return [
        (pair, base)
        for pair, base in _of_the_same_symbols(arms)
        if pair[0].order != "identity" and base[0].order == "identity" and pair[0].objective == base[0].objective
    ]


def _of_the_same_symbols(arms: Sequence[Arm]) -> list[tuple[ArmPair, ArmPair]]:
    """Pairs of the same model as well."""
    return [
        (pair, base)
        for pair in pairs(arms)
        for base in pairs(arms)
        if pair[0].model == base[0].model and [arm.tokens for arm in pair] == [arm.tokens for arm in base]
    ]


def estimate(arms: Sequence[Arm], curves: Sequence[Curve]) -> list[Estimand]:
    """Every estimand, the one that leads its pair marked; a pair with an empty arm has none."""
    found: list[Estimand] = []
    for pair in pairs(arms):
        answers = [
            row for form in _forms(pair, curves) for row in overheads(_subject(pair, form), in_form(pair, form, curves))
        ]
        found += _with_headline(answers, preferred_form(pair, curves))
        if not all(any(curve.arm is arm for curve in curves) for arm in pair):
            found += gaps_at_budgets(_subject(pair, "minima"), *pair)
    for pair, base in pairs_over_ar(arms) + pairs_over_order(arms):
        both = (*pair, *base)
        answers = [
            row
            for form in _forms(both, curves)
            for row in interactions(_subject(both, form), in_form(pair, form, curves), in_form(base, form, curves))
        ]
        found += _with_headline(answers, preferred_form(both, curves))
    return found


def _subject(arms: Sequence[Arm], form: Form | Literal["minima"]) -> Subject:
    objectives = " - ".join(dict.fromkeys(arm.objective for arm in arms))
    orders = " - ".join(dict.fromkeys(arm.order for arm in arms))
    asked = objectives if orders == "identity" else f"{objectives}, {orders}"
    return Subject(asked, [arm.name for arm in arms], form)


def _forms(arms: Sequence[Arm], curves: Sequence[Curve]) -> list[Form]:
    """The forms in which any of these arms has a frontier, if all of them have a budget to show."""
    names = {arm.name for arm in arms if all(arm.budgets for arm in arms)}
    return list(dict.fromkeys(curve.form for curve in curves if curve.arm.name in names))


def in_form(pair: ArmPair, form: Form, curves: Sequence[Curve]) -> Pair:
    """The pair with its frontiers of one form, as far as it has any."""
    fitted = {curve.arm.name: curve for curve in curves if curve.form == form}
    byte, other = pair
    return Pair(Reach(byte, fitted.get(byte.name)), Reach(other, fitted.get(other.name)))


def _with_headline(answers: Sequence[Estimand], form: Form) -> Iterator[Estimand]:
    """The same answers, the leading one marked.

    It is of the preferred form and at equal loss: the middle one estimated, else the best bound.
    """
    at_loss = [row for row in answers if row.form == form and row.at_flops is None]
    at_loss = [row for row in at_loss if row.name in {"overhead", "interaction"}]
    estimated = [row for row in at_loss if row.label == "estimated"]
    above = [row for row in at_loss if row.bound == ">"]
    below = [row for row in at_loss if row.bound == "<"]
    chosen = None
    if estimated:
        chosen = estimated[len(estimated) // 2]
    elif above:
        chosen = max(above, key=_value)
    elif below:
        chosen = min(below, key=_value)
    for row in answers:
        yield row.model_copy(update={"headline": True}) if row is chosen else row


def _value(row: Estimand) -> float:
    """The bound, at the end of its interval where it claims least."""
    assert row.quantity.value is not None
    if row.quantity.ci95 is None:
        return float("-inf") if row.bound == ">" else float("inf")
    return row.quantity.ci95[0] if row.bound == ">" else row.quantity.ci95[1]
