"""Are two arms' frontiers equally steep? Equivalence of exponents within a margin that the study names beforehand.

    d = g_one - g_other of L = A C^-g, no floor: how fast ln L falls with ln C over each arm's own budgets

Two one-sided tests at 5 % (Schuirmann 1987): equivalent where the 90 % interval of d lies within the margin to both
sides. Whether a study could have said so is not seen from its answer but from the interval's half width h: were the
slopes equal, d would lie within margin - h of 0, and the test pass, in a share of studies that is the power.
"""

from collections.abc import Sequence
from statistics import NormalDist

from bytegap.fit.draws import interval, quantity
from bytegap.fit.frontiers import Curve
from bytegap.records import SlopePair

TAIL = 0.05
POWER = 0.8
_NORMAL = NormalDist()


def slopes(pairs: Sequence[tuple[str, str]], margin: float | None, curves: Sequence[Curve]) -> list[SlopePair]:
    """An answer for each pair of arms; `margin` is in units of g, and there if any pair is."""
    fitted = {curve.arm.name: curve for curve in curves if curve.form == "no floor"}
    assert margin is not None or not pairs, "the study file was checked"
    return [_pair(pair, margin or 0.0, fitted.get(pair[0]), fitted.get(pair[1])) for pair in pairs]


def power(half: float, margin: float) -> float:
    """Chance that two arms of the same slope pass, where the 90 % interval reaches `half` to either side."""
    deviation = half / _NORMAL.inv_cdf(1 - TAIL)
    return max(0.0, 2 * _NORMAL.cdf((margin - half) / deviation) - 1)


def least_margin(half: float) -> float:
    """The margin at which `power` is 80 %."""
    return half * (1 + _NORMAL.inv_cdf((1 + POWER) / 2) / _NORMAL.inv_cdf(1 - TAIL))


def _pair(arms: tuple[str, str], margin: float, one: Curve | None, other: Curve | None) -> SlopePair:
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
    half = (ci90[1] - ci90[0]) / 2
    return found.model_copy(
        update={
            "ci90": ci90,
            "equivalent": max(-ci90[0], ci90[1]) < margin,
            "power": power(half, margin),
            "least_margin": least_margin(half),
        }
    )


def sentence(pair: SlopePair) -> str:
    """What a pair's answer says."""
    one, other = pair.arms
    if pair.ci90 is None or pair.difference is None or pair.difference.ci95 is None:
        missing = "one of them has no frontier" if pair.difference is None else "its interval has no end"
        return f"Not identified at this scale: whether {one} and {other} are equally steep, as {missing}."
    low, high = pair.difference.ci95
    apart = low > 0 or high < 0
    says = {
        (True, False): f"equally steep within {pair.margin:g}, the margin named beforehand",
        (True, True): f"not equally steep, but within {pair.margin:g} of it, the margin named beforehand",
        (False, True): "not equally steep",
        (False, False): f"not told apart, nor shown to be equally steep within {pair.margin:g}",
    }[pair.equivalent, apart]
    return (
        f"{one} and {other} are {says}: their exponents differ by {pair.difference.value:.3f} (90 % interval "
        f"{pair.ci90[0]:.3f} to {pair.ci90[1]:.3f}); were they the same, a study like this one would show it with "
        f"probability {pair.power:.2f}, and of a margin of {pair.least_margin:.3f} with 0.80."
    )
