"""The range of a value axis, and what of a point and its interval lies within it.

An extrapolation can be known to within orders of magnitude only. If the axis showed all of its interval, everything
that was observed would be squeezed into a line. So an axis spans what was observed; whatever continues beyond it is cut
off at the frame and marked there by an arrow.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt

_MARGIN = 0.07
"""Free space at either end, as a share of what is shown."""
_LEAST_SPAN = 1e-6


@dataclass(frozen=True)
class Frame:
    """The ends of a value axis."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float], *, log: bool = False) -> "Frame":
        """The range of `values`, which are positive if `log`, with a margin."""
        shown = [math.log(value) for value in values if value > 0] if log else list(values)
        low, high = min(shown), max(shown)
        margin = _MARGIN * max(high - low, _LEAST_SPAN + 0.1 * abs(high))
        ends = (low - margin, high + margin)
        return cls(*(map(math.exp, ends) if log else ends))

    def scale(self, *, log: bool = False) -> alt.Scale:
        """The scale of an axis that ends where the frame does."""
        domain = [self.low, self.high]
        # A linear scale includes 0 by default, a log scale warns about any setting of it.
        return (
            alt.Scale(type="log", domain=domain, nice=False)
            if log
            else alt.Scale(domain=domain, nice=False, zero=False)
        )

    def contains(self, value: float) -> bool:
        """Whether a value can be drawn."""
        return self.low <= value <= self.high

    def part(self, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        """The part of an interval that can be drawn; None if there is none."""
        if interval is None or interval[1] < self.low or interval[0] > self.high:
            return None
        return max(interval[0], self.low), min(interval[1], self.high)

    def beyond(self, value: float, interval: tuple[float, float] | None) -> tuple[bool, bool]:
        """Whether a value or its interval continues below the frame, and whether above."""
        low, high = interval or (value, value)
        return min(value, low) < self.low, max(value, high) > self.high
