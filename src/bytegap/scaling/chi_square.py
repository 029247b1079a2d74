"""Tail of the chi-square distribution, and Bartlett's test that several variances are equal."""

from collections.abc import Sequence
from math import erfc, exp, gamma, log


def chi_square_survival(chi_square: float, dof: int) -> float:
    """P(X > chi_square) of a chi-square variable, by its finite sum for an integer number of degrees of freedom."""
    half = chi_square / 2
    if dof % 2:
        powers = [k + 0.5 for k in range(dof // 2)]
        return erfc(half**0.5) + exp(-half) * sum(half**power / gamma(power + 1) for power in powers)
    return exp(-half) * sum(half**k / gamma(k + 1) for k in range(dof // 2))


def bartlett(variances: Sequence[float], dofs: Sequence[int]) -> float:
    """p-value of the test that independent estimates of variance have one expectation (Bartlett 1937).

    1 for a single estimate or where all are 0; 0 where only some are.
    """
    if len(variances) < 2 or not any(variances):
        return 1.0
    if not all(variances):
        return 0.0
    total = sum(dofs)
    pooled = sum(dof * variance for variance, dof in zip(variances, dofs, strict=True)) / total
    statistic = total * log(pooled) - sum(dof * log(each) for each, dof in zip(variances, dofs, strict=True))
    correction = 1 + (sum(1 / dof for dof in dofs) - 1 / total) / (3 * (len(dofs) - 1))
    return chi_square_survival(max(0.0, statistic / correction), len(dofs) - 1)
