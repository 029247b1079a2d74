"""An estimate and its bootstrap draws in one array: an axis K = 1 + draws, the point estimate first.

One pass of vectorised arithmetic then yields an estimate and its interval, and draws of everything that is computed
from the same cells stay joint.
"""

from collections.abc import Sequence

import numpy as np

from bytegap.scaling.laws import Array
from bytegap.schema.base import Quantity

Interval = tuple[float, float]

UNKNOWN = Quantity(value=None)
TAIL = 0.025


def interval(draws: Array, tail: float = TAIL) -> Interval | None:
    """The percentile interval of draws (B,); None where there are no draws or an end is not finite.

    `tail` is the probability outside each end. A draw that is NaN could have any value: it counts as -inf for the lower
    end and as +inf for the upper end.
    """
    if not len(draws):
        return None
    ascending = np.sort(draws)  # NaN last
    unknown = int(np.isnan(draws).sum())
    low = int(tail * (len(draws) - 1)) - unknown
    high = len(draws) - 1 - int(tail * (len(draws) - 1))
    if low < 0 or not np.isfinite(ascending[[low, high]]).all():
        return None
    return float(ascending[low]), float(ascending[high])


def covering(intervals: Sequence[Interval | None]) -> Interval | None:
    """The interval that covers all; None where one is missing, or there is none."""
    known = [each for each in intervals if each is not None]
    if not known or len(known) < len(intervals):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def quantity(value_K: Array) -> Quantity:
    """A Quantity from a point estimate and its draws; unknown where the point estimate is not finite."""
    point = float(value_K[0])
    return Quantity(value=point, ci95=interval(value_K[1:])) if np.isfinite(point) else UNKNOWN
