"""All estimands of a study: which arms are compared, in which forms of the frontier, and which estimates are headlined.

A byte arm is compared with every arm of another tokenizer that has the same objective, permutation and model. A pair of
another objective is further compared with the AR pair of the same tokenizers, and a pair of permuted text with the pair
of the text as written.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from bytegap.fit.censoring import ArmFrontier, ArmPair
from bytegap.fit.estimand_builder import EstimandBuilder
from bytegap.fit.frontiers import Arm, FittedFrontier, preferred_form
from bytegap.fit.interaction import interactions
from bytegap.fit.overhead import gaps_at_budgets, overheads
from bytegap.schema.fit import Estimand, Form

TwoArms = tuple[Arm, Arm]
"""(byte arm, arm of another tokenizer)."""


def byte_pairs(arms: Sequence[Arm]) -> list[TwoArms]:
    """Each byte arm with each arm of another tokenizer that is equal in objective, permutation and model."""
    return [
        (byte, other)
        for byte in arms
        for other in arms
        if byte.is_bytes
        and not other.is_bytes
        and (byte.objective, byte.permutation, byte.model) == (other.objective, other.permutation, other.model)
    ]


def pairs_over_ar(arms: Sequence[Arm]) -> list[tuple[TwoArms, TwoArms]]:
    """(a pair of another objective, the AR pair of the same tokenizers, permutation and model)."""
    return [
        (pair, base)
        for pair, base in _of_same_tokenizers(arms)
        if pair[0].objective != "ar" and base[0].objective == "ar" and pair[0].permutation == base[0].permutation
    ]


def pairs_over_identity(arms: Sequence[Arm]) -> list[tuple[TwoArms, TwoArms]]:
    """(a pair of permuted text, the pair of the same tokenizers, objective and model without permutation)."""
    return [
        (pair, base)
        for pair, base in _of_same_tokenizers(arms)
        if pair[0].permutation != "identity"
        and base[0].permutation == "identity"
        and pair[0].objective == base[0].objective
    ]


def comparisons(arms: Sequence[Arm]) -> list[tuple[Arm, ...]]:
    """The arms of everything that is compared: two of an overhead, four of an interaction."""
    four = pairs_over_ar(arms) + pairs_over_identity(arms)
    return [*byte_pairs(arms), *((*pair, *base) for pair, base in four)]


def _of_same_tokenizers(arms: Sequence[Arm]) -> list[tuple[TwoArms, TwoArms]]:
    """All two pairs of the same tokenizers and model."""
    return [
        (pair, base)
        for pair in byte_pairs(arms)
        for base in byte_pairs(arms)
        if pair[0].model == base[0].model and [arm.tokenizer for arm in pair] == [arm.tokenizer for arm in base]
    ]


def estimate(arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> list[Estimand]:
    """All estimands, the headline of each comparison marked; a pair with an arm without budgets has none."""
    found: list[Estimand] = []
    for pair in byte_pairs(arms):
        estimands = [
            row
            for form in _forms(pair, frontiers)
            for row in overheads(estimand_builder(pair, form), pair_in_form(pair, form, frontiers))
        ]
        found += _with_headline(estimands, preferred_form(pair, frontiers))
        if not all(any(frontier.arm is arm for frontier in frontiers) for arm in pair):
            found += gaps_at_budgets(estimand_builder(pair, "minima"), *pair)
    for pair, base in pairs_over_ar(arms) + pairs_over_identity(arms):
        four = (*pair, *base)
        estimands = [
            row
            for form in _forms(four, frontiers)
            for row in interactions(
                estimand_builder(four, form), pair_in_form(pair, form, frontiers), pair_in_form(base, form, frontiers)
            )
        ]
        found += _with_headline(estimands, preferred_form(four, frontiers))
    return found


def estimand_builder(arms: Sequence[Arm], form: Form | Literal["minima"]) -> EstimandBuilder:
    """Makes the records of these arms: a pair, or a pair and the one that it is compared with."""
    return EstimandBuilder(compared(arms), tuple(arm.name for arm in arms), form)


def compared(arms: Sequence[Arm]) -> str:
    """What is compared, as in `Estimand.objective`."""
    objectives = " - ".join(dict.fromkeys(arm.objective for arm in arms))
    permutations = " - ".join(dict.fromkeys(arm.permutation for arm in arms))
    models = " - ".join(dict.fromkeys(arm.model for arm in arms if arm.model != arm.architecture))
    return ", ".join(filter(None, [objectives, "" if permutations == "identity" else permutations, models]))


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
