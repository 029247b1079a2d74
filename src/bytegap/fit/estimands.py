"""All estimands of a study: each comparison in every form of the frontier, and which estimates are headlined."""

from collections.abc import Iterator, Sequence
from typing import Literal

from bytegap.fit.censoring import ArmFrontier, ArmPair
from bytegap.fit.estimand_builder import EstimandBuilder
from bytegap.fit.frontiers import Arm, FittedFrontier, TwoArms, preferred_form
from bytegap.fit.interaction import interactions
from bytegap.fit.overhead import gaps_at_budgets, overheads
from bytegap.schema.fit import Estimand
from bytegap.schema.frontier import Form
from bytegap.study.comparisons import Comparisons, compared


def estimate(arms: Sequence[Arm], frontiers: Sequence[FittedFrontier], comparisons: Comparisons) -> list[Estimand]:
    """The estimands of the comparisons whose arms these are, the headline of each marked.

    A pair with an arm without budgets has none.
    """
    found: list[Estimand] = []
    by_name = {arm.name: arm for arm in arms}
    for names in comparisons.names:
        if not by_name.keys() >= set(names):
            continue
        byte, other, *base = own = [by_name[name] for name in names]
        estimands = [row for form in _forms(own, frontiers) for row in _estimands(own, form, frontiers)]
        found += _with_headline(estimands, preferred_form(own, frontiers))
        if not base and not all(any(frontier.arm is arm for frontier in frontiers) for arm in own):
            found += gaps_at_budgets(estimand_builder(own, "minima"), byte, other)
    return found


def _estimands(arms: Sequence[Arm], form: Form, frontiers: Sequence[FittedFrontier]) -> Iterator[Estimand]:
    """Of two arms all about the overhead, of four all about the interaction."""
    byte, other, *base = arms
    builder, pair = estimand_builder(arms, form), pair_in_form((byte, other), form, frontiers)
    if not base:
        return overheads(builder, pair)
    return interactions(builder, pair, pair_in_form((base[0], base[1]), form, frontiers))


def estimand_builder(arms: Sequence[Arm], form: Form | Literal["minima"]) -> EstimandBuilder:
    """Makes the records of these arms: a pair, or a pair and the one that it is compared with."""
    return EstimandBuilder(compared(arms), tuple(arm.name for arm in arms), form)


def _forms(arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> list[Form]:
    """The forms in which any of these arms has a frontier, if all of them have a budget in a frontier."""
    names = {arm.name for arm in arms if all(arm.budgets for arm in arms)}
    return list(dict.fromkeys(frontier.form for frontier in frontiers if frontier.arm.name in names))


def pair_in_form(pair: TwoArms, form: Form, frontiers: Sequence[FittedFrontier]) -> ArmPair:
    """The pair with its frontiers of one form, where it has any."""
    fitted = {frontier.arm.name: frontier for frontier in frontiers if frontier.form == form}
    byte, other = pair
    return ArmPair(ArmFrontier(byte, fitted.get(byte.name)), ArmFrontier(other, fitted.get(other.name)))


def _with_headline(estimands: Sequence[Estimand], form: Form) -> Iterator[Estimand]:
    """The same estimands with the headline marked: in the preferred form at equal loss.

    It is the middle one of those estimated; if none is, the lower bound, or else the upper bound, that is tightest.
    """
    at_loss = [row for row in estimands if row.form == form and row.at_flops is None]
    at_loss = [row for row in at_loss if row.name in {"overhead", "interaction"}]
    estimated = [row for row in at_loss if row.label == "estimated"]
    lower = [row for row in at_loss if row.bound == ">"]
    upper = [row for row in at_loss if row.bound == "<"]
    chosen = None
    if estimated:
        chosen = estimated[len(estimated) // 2]
    elif lower:
        chosen = max(lower, key=_conservative_end)
    elif upper:
        chosen = min(upper, key=_conservative_end)
    for row in estimands:
        yield row.model_copy(update={"headline": True}) if row is chosen else row


def _conservative_end(row: Estimand) -> float:
    """The end of a bound's interval that claims least."""
    assert row.quantity.value is not None
    if row.quantity.ci95 is None:
        return float("-inf") if row.bound == ">" else float("inf")
    return row.quantity.ci95[0] if row.bound == ">" else row.quantity.ci95[1]
