"""A number and its draws in one array: an axis K = 1 + bootstraps, the point estimate first.

One pass of vectorised arithmetic then yields an estimate and its interval together, and the draws
of everything that is computed from the same cells stay joint.
"""

import numpy as np

from bytegap.laws import Array
from bytegap.records import Quantity

Interval = tuple[float, float]

UNKNOWN = Quantity(value=None)
TAIL = 0.025


def interval(draws: Array, tail: float = TAIL) -> Interval | None:
    """The percentile interval of draws (B,), 95 % unless told, or None where it has no end or there are no draws.

    A draw that is not a number could lie anywhere: -inf for the lower end, +inf for the upper.
    """
    if not len(draws):
        return None
    ordered = np.sort(draws)  # NaN last
    unknown = int(np.isnan(draws).sum())
    low = int(tail * (len(draws) - 1)) - unknown
    high = len(draws) - 1 - int(tail * (len(draws) - 1))
    if low < 0 or not np.isfinite(ordered[[low, high]]).all():
        return None
    return float(ordered[low]), float(ordered[high])


def quantity(value_K: Array) -> Quantity:
    """A Quantity out of a point estimate and its draws."""
    point = float(value_K[0])
    return Quantity(value=point, ci95=interval(value_K[1:])) if np.isfinite(point) else UNKNOWN
