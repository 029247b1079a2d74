"""Labelled estimates, their records in fit.json, and the losses at which overheads are evaluated.

Suffix: K = point estimate and draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bytegap.fit.censoring import BoundedLog, Side
from bytegap.scaling.bootstrap import Interval, interval, quantity
from bytegap.scaling.laws import Array
from bytegap.schema.base import Quantity
from bytegap.schema.fit import Estimand, EstimandName, Label
from bytegap.schema.frontier import Form

INNER_POINTS, OUTER_POINTS = 9, 6
"""Points of the loss grid where all arms were observed (odd, so that one is the middle), and on either side of that."""

Range = tuple[float, float]


@dataclass(frozen=True)
class LabelledEstimate:
    """A quantity, or a bound of it, and how it is known."""

    quantity: Quantity
    label: Label
    bound: Side = ""
    ci90: Interval | None = None


def labelled_estimate(
    known: BoundedLog | None, extrapolated_K: Array | None, *, ratio: bool
) -> LabelledEstimate | None:
    """The observed value or bound of a logarithm; else its extrapolation by frontiers; None where there is neither.

    `ratio`: give the exponential of the logarithm.
    """
    scale = np.exp if ratio else np.asarray
    if known:
        value_K = scale(known.ln_K)
        observed = quantity(value_K)
        if observed.value is not None and known.side:
            return LabelledEstimate(observed, "censored", known.side)
        if observed.value is not None:
            return LabelledEstimate(observed, "estimated", ci90=interval(value_K[1:], tail=0.05))
    if extrapolated_K is not None:
        extrapolated = quantity(scale(extrapolated_K))
        if extrapolated.value is not None:
            return LabelledEstimate(extrapolated, "extrapolated")
    return None


@dataclass(frozen=True)
class EstimandBuilder:
    """Makes the records of one pair of arms, or of one pair compared with another, in one form of the frontier."""

    objective: str
    """As `Estimand.objective`."""
    arms: tuple[str, ...]
    form: Form | Literal["minima"]

    def build(
        self,
        name: EstimandName,
        estimate: LabelledEstimate,
        at_bpb: float | None = None,
        at_flops: float | None = None,
        pure_shift: Quantity | None = None,
    ) -> Estimand:
        """One estimand as written to fit.json."""
        return Estimand(
            name=name,
            objective=self.objective,
            arms=self.arms,
            form=self.form,
            at_bpb=at_bpb,
            at_flops=at_flops,
            quantity=estimate.quantity,
            ci90=estimate.ci90,
            bound=estimate.bound,
            label=estimate.label,
            pure_shift=pure_shift,
        )


def overlap(ranges: Sequence[Range]) -> Range | None:
    """The intersection of all ranges; None where it is empty or a single point."""
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    return (low, high) if low < high else None


def loss_grid(ranges: Sequence[Range]) -> list[float]:
    """Losses from the lowest to the highest of the ranges that arms were observed in, densest in their intersection.

    The ends of every range are included, because bounds are tightest there.
    """
    ends = [end for both in ranges for end in both]
    low, high = min(ends), max(ends)
    common = overlap(ranges)
    if common is None:
        points = np.linspace(low, high, INNER_POINTS + 2 * OUTER_POINTS).tolist()
    else:
        points = np.linspace(low, common[0], OUTER_POINTS, endpoint=False).tolist()
        points += np.linspace(*common, INNER_POINTS).tolist()
        points += np.linspace(high, common[1], OUTER_POINTS, endpoint=False).tolist()
    return sorted({*points, *ends})
