"""How an answer is put: label, bound and place; and the losses that questions are asked at.

Suffix: K = point estimate and draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bytegap.fit.bounds import Known, Side
from bytegap.fit.draws import Interval, interval, quantity
from bytegap.laws import Array
from bytegap.records import Estimand, Form, Label, Quantity

INNER_POINTS, OUTER_POINTS = 9, 6
"""Losses asked about where all arms were observed (odd, so that one is its middle), and beside."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Answer:
    """A quantity and how it is known."""

    quantity: Quantity
    label: Label
    bound: Side = ""
    ci90: Interval | None = None


def answer(known: Known | None, beyond_K: Array | None, *, ratio: bool) -> Answer | None:
    """What was observed of a logarithm, else what frontiers extrapolate to, else None."""
    as_asked = np.exp if ratio else np.asarray
    if known:
        asked_K = as_asked(known.ln_K)
        observed = quantity(asked_K)
        if observed.value is not None and known.side:
            return Answer(observed, "censored", known.side)
        if observed.value is not None:
            return Answer(observed, "estimated", ci90=interval(asked_K[1:], tail=0.05))
    if beyond_K is not None:
        extrapolated = quantity(as_asked(beyond_K))
        if extrapolated.value is not None:
            return Answer(extrapolated, "extrapolated")
    return None


@dataclass(frozen=True)
class Subject:
    """What answers are about: a pair of arms, or two, in one form of the frontier."""

    objective: str
    arms: list[str]
    form: Form | Literal["minima"]

    def say(
        self,
        name: Literal["overhead", "interaction", "gap", "slope", "parity"],
        found: Answer,
        at_bpb: float | None = None,
        at_flops: float | None = None,
        pure_shift: Quantity | None = None,
    ) -> Estimand:
        """One row of `fit.json`."""
        return Estimand(
            name=name,
            objective=self.objective,
            arms=self.arms,
            form=self.form,
            at_bpb=at_bpb,
            at_flops=at_flops,
            quantity=found.quantity,
            ci90=found.ci90,
            bound=found.bound,
            label=found.label,
            pure_shift=pure_shift,
        )


def overlap(ranges: Sequence[Range]) -> Range | None:
    """What all ranges have in common; None where that is nothing, or a single point."""
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    return (low, high) if low < high else None


def loss_grid(ranges: Sequence[Range]) -> list[float]:
    """Losses from the lowest to the highest that any arm was seen at, densest where all were.

    The ends of every range are among them: bounds are tightest there.
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
