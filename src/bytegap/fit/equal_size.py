"""Equal N, the view of models of equal capacity: a byte arm and an arm of another tokenizer at equal optimal size.

Through the minima of an arm's cells, each an optimal size N and its loss L,

    ln N = a + b ln L

by least squares in every draw, weighted by the cells' own variances of ln N. Of two arms, where both were observed:

    size ratio   N_byte(L) / N_other(L)     at equal loss
    size gap     L_byte(N) - L_other(N)     at equal size, where L(N) = exp((ln N - a) / b)

The error of ln L is small relative to its range, so it is not modelled as an error of the regressor.

Suffixes: K = point estimate and draws, P = budgets in the frontier.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit.cells import FittedCell
from bytegap.fit.censoring import bpb_of_same_models
from bytegap.fit.estimand_builder import EstimandBuilder, LabelledEstimate, Range, overlap
from bytegap.fit.estimands import estimand_builder
from bytegap.fit.frontiers import LEAST_BUDGETS, Arm, TwoArms
from bytegap.scaling.bootstrap import quantity
from bytegap.scaling.laws import Array
from bytegap.schema.fit import Estimand
from bytegap.study.comparisons import byte_pairs

POINTS = 5
"""Losses, or sizes, that each estimand is evaluated at."""


@dataclass(frozen=True)
class SizeLine:
    """ln N = intercept + slope ln L of one arm."""

    intercept_K: Array
    slope_K: Array
    bpb_observed: Range

    @property
    def ln_size_observed(self) -> Range:
        """Ln N at both ends of the observed losses, ascending."""
        at_ends = [float(self.ln_size(bpb)[0]) for bpb in self.bpb_observed]
        return min(at_ends), max(at_ends)

    def ln_size(self, bpb: float | Array) -> Array:
        """Ln N of the optimal model at a loss, (K,)."""
        return self.intercept_K + self.slope_K * np.log(bpb)

    def bpb(self, ln_size: float) -> Array:
        """Loss at an optimal size, (K,); NaN where the loss does not fall with size."""
        falls_K = self.slope_K < 0
        return np.where(falls_K, np.exp((ln_size - self.intercept_K) / np.where(falls_K, self.slope_K, -1.0)), np.nan)


def equal_size(arms: Sequence[Arm], cells: Sequence[FittedCell]) -> Iterator[Estimand]:
    """Size ratios and size gaps of every byte arm and arm of another tokenizer that both have two budgets."""
    for pair in byte_pairs(arms):
        byte, other = (size_line(arm, cells) for arm in pair)
        if byte and other:
            yield from _estimands(estimand_builder(pair, "minima"), pair, (byte, other))


def size_line(arm: Arm, cells: Sequence[FittedCell]) -> SizeLine | None:
    """The line through an arm's minima; None where fewer than two budgets are in its frontier."""
    kept = [fitted for fitted in cells if fitted.cell.arm == arm.name and fitted.cell.in_frontier]
    if len(kept) < LEAST_BUDGETS:
        return None
    x_KP = np.array([fitted.ln_bpb_K for fitted in kept]).T
    y_KP = np.array([fitted.ln_size_K for fitted in kept]).T
    weight_P = np.maximum(y_KP[1:].std(axis=0), 1e-9) ** -2
    share_P = weight_P / weight_P.sum()
    centre_K1, mean_K1 = (x_KP @ share_P)[:, None], (y_KP @ share_P)[:, None]
    slope_K = ((x_KP - centre_K1) * (y_KP - mean_K1)) @ share_P / ((x_KP - centre_K1) ** 2 @ share_P)
    return SizeLine(mean_K1[:, 0] - slope_K * centre_K1[:, 0], slope_K, arm.bpb_observed)


def _estimands(builder: EstimandBuilder, arms: TwoArms, lines: tuple[SizeLine, SizeLine]) -> Iterator[Estimand]:
    byte, other = lines
    if losses := overlap([byte.bpb_observed, other.bpb_observed]):
        for bpb in np.linspace(*losses, POINTS).tolist():
            bpb_K = bpb_of_same_models(arms, bpb)
            ratio = quantity(np.exp(byte.ln_size(bpb_K) - other.ln_size(bpb_K)))
            yield builder.build("size_ratio", LabelledEstimate(ratio, "estimated"), at_bpb=bpb)
    if sizes := overlap([byte.ln_size_observed, other.ln_size_observed]):
        for ln_size in np.linspace(*sizes, POINTS).tolist():
            gap = quantity(byte.bpb(ln_size) - other.bpb(ln_size))
            found = builder.build("size_gap", LabelledEstimate(gap, "estimated"))
            yield found.model_copy(update={"at_parameters": float(np.exp(ln_size))})
