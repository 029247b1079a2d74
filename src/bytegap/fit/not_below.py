"""Whether one arm's frontier exponent is not below another's by more than a margin that the study sets in advance.

The exponent of an arm over the losses from `high` to `low` is how fast ln L falls with ln C on the way:

    g = ln(high / low) / (ln C(low) - ln C(high))

which is g of a power law L = A C^-g; a frontier with an irreducible loss becomes less steep as the loss falls. Both
exponents are over the losses that both arms were observed at, because an arm that is seen higher on its curve looks
steeper.

One-sided test at 5 % for non-inferiority (Schuirmann 1987, the half of it that says "not below"): the lower end of the
90 % interval of g_one - g_other is above -margin, in every form of the frontier that both arms have.

Suffix: K = point estimate and draws.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from bytegap.fit.censoring import bpb_of_same_models
from bytegap.fit.estimand_builder import Range, overlap
from bytegap.fit.frontiers import Arm, FittedFrontier, preferred_form
from bytegap.scaling.bootstrap import covering, interval, quantity
from bytegap.scaling.laws import Array
from bytegap.schema.frontier import ExponentNotBelow, Form
from bytegap.study.config import TwoNames

TAIL = 0.05
_NORMAL = NormalDist()


def exponents_not_below(
    pairs: Sequence[TwoNames], margin: float | None, arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]
) -> list[ExponentNotBelow]:
    """The test of each pair of arms, by name; `margin`, in units of g, is required if there are pairs."""
    assert margin is not None or not pairs, "the study file was checked"
    by_name = {arm.name: arm for arm in arms}
    return [
        _test(pair, margin or 0.0, [by_name[name] for name in pair if name in by_name], frontiers) for pair in pairs
    ]


def power(half_width: float, margin: float) -> float:
    """Probability that equal exponents pass, if the 90 % interval of their difference has this half width."""
    sd = half_width / _NORMAL.inv_cdf(1 - TAIL)
    return _NORMAL.cdf((margin - half_width) / sd)


def exponent(frontier: FittedFrontier, low_K: Array, high_K: Array) -> Array:
    """G over the losses from `high_K` to `low_K`, (K,)."""
    return np.log(high_K / low_K) / np.log(frontier.flops(low_K) / frontier.flops(high_K))


def _test(names: TwoNames, margin: float, arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> ExponentNotBelow:
    found = ExponentNotBelow(arms=names, margin=margin)
    if len(arms) < len(names) or not all(arm.budgets for arm in arms):
        return found
    shared = overlap([arm.bpb_observed for arm in arms])
    if shared is None:
        return found
    found = found.model_copy(update={"bpb_shared": shared})
    forms: list[Form] = list(dict.fromkeys(frontier.form for frontier in frontiers))
    by_form = {form: both for form in forms if (both := _exponents(arms, shared, frontiers, form))}
    form = preferred_form(arms, frontiers)
    if form not in by_form:
        return found
    one_K, other_K = by_form[form]
    found = found.model_copy(
        update={
            "form": form,
            "forms": len(by_form),
            "exponents": (quantity(one_K), quantity(other_K)),
            "difference": quantity(one_K - other_K),
        }
    )
    intervals = [interval((one_K - other_K)[1:], TAIL) for one_K, other_K in by_form.values()]
    ci90 = covering(intervals)
    if ci90 is None:
        return found
    widest = max(high - low for low, high in filter(None, intervals)) / 2
    return found.model_copy(update={"ci90": ci90, "not_below": ci90[0] > -margin, "power": power(widest, margin)})


def _exponents(
    arms: Sequence[Arm], shared: Range, frontiers: Sequence[FittedFrontier], form: Form
) -> tuple[Array, Array] | None:
    """Both exponents in one form; None where an arm has no frontier of it."""
    fitted = {frontier.arm.name: frontier for frontier in frontiers if frontier.form == form}
    if not all(arm.name in fitted for arm in arms):
        return None
    low_K, high_K = (bpb_of_same_models(arms, bpb) for bpb in shared)
    one, other = (exponent(fitted[arm.name], low_K, high_K) for arm in arms)
    return one, other
