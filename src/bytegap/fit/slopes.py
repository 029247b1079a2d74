"""Equivalence of two arms' frontier exponents, within a margin that the study sets in advance.

    d = g_one - g_other of L = A C^-g (power law), the rate at which ln L falls with ln C over each arm's own budgets

Two one-sided tests at 5 % (Schuirmann 1987): equivalent where the 90 % interval of d lies within the margin on both
sides. Whether the study could have shown equivalence follows from the interval's half width h: if the exponents were
equal, d would lie within margin - h of 0, and the test pass, with a probability that is the power.
"""

from collections.abc import Sequence
from statistics import NormalDist

from bytegap.fit.frontiers import FittedFrontier
from bytegap.scaling.bootstrap import interval, quantity
from bytegap.schema.frontier import SlopePair

TAIL = 0.05
POWER = 0.8
_NORMAL = NormalDist()


def compare_slopes(
    pairs: Sequence[tuple[str, str]], margin: float | None, frontiers: Sequence[FittedFrontier]
) -> list[SlopePair]:
    """The comparison of each pair of arms, by name; `margin`, in units of g, is required if there are pairs."""
    fitted = {frontier.arm.name: frontier for frontier in frontiers if frontier.form == "power law"}
    assert margin is not None or not pairs, "the study file was checked"
    return [_compare(pair, margin or 0.0, fitted.get(pair[0]), fitted.get(pair[1])) for pair in pairs]


def power(half_width: float, margin: float) -> float:
    """Probability that two equal exponents pass the test, if the 90 % interval has this half width."""
    sd = half_width / _NORMAL.inv_cdf(1 - TAIL)
    return max(0.0, 2 * _NORMAL.cdf((margin - half_width) / sd) - 1)


def least_margin(half_width: float) -> float:
    """The margin at which `power` is 80 %."""
    return half_width * (1 + _NORMAL.inv_cdf((1 + POWER) / 2) / _NORMAL.inv_cdf(1 - TAIL))


def _compare(
    arms: tuple[str, str], margin: float, one: FittedFrontier | None, other: FittedFrontier | None
) -> SlopePair:
    if one is None or other is None:
        return SlopePair(arms=arms, margin=margin)
    difference_K = one.exponent_K - other.exponent_K
    ci90 = interval(difference_K[1:], TAIL)
    found = SlopePair(
        arms=arms,
        margin=margin,
        exponents=(quantity(one.exponent_K), quantity(other.exponent_K)),
        difference=quantity(difference_K),
    )
    if ci90 is None:
        return found
    half_width = (ci90[1] - ci90[0]) / 2
    return found.model_copy(
        update={
            "ci90": ci90,
            "equivalent": max(-ci90[0], ci90[1]) < margin,
            "power": power(half_width, margin),
            "least_margin": least_margin(half_width),
        }
    )
