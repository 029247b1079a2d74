"""Quantiles of Student's t distribution, for intervals whose standard error is an estimate itself."""

from math import atan, cos, pi, sin, sqrt

_BISECTIONS = 200


def t_quantile(probability: float, dof: int) -> float:
    """The t below which this share, at least 0.5, of the distribution with a whole number of degrees of freedom lies.

    By bisection of the distribution function.
    """
    assert 0.5 <= probability < 1
    low, high = 0.0, 1.0
    while _cumulative(high, dof) < probability:
        high *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        low, high = (middle, high) if _cumulative(middle, dof) < probability else (low, middle)
    return high


def _cumulative(t: float, dof: int) -> float:
    """P(T < t) for t >= 0 by its finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = atan(t / sqrt(dof))
    odd = dof % 2
    total, term = 0.0, 1.0
    for k in range(dof // 2):
        total += term
        term *= cos(angle) ** 2 * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    within = 2 / pi * (angle + sin(angle) * cos(angle) * total) if odd else sin(angle) * total
    return (1 + within) / 2
