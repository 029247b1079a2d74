"""Overhead of bytes under one objective: estimands of a byte arm and an arm of another tokenizer.

    overhead at equal loss       k(L) = C_byte(L) / C_other(L)      on a grid of L
    overhead at equal compute    k(C) = C_byte(L_other(C)) / C      on a grid of C
    gap                          L_byte(C) - L_other(C)             where both were observed, or both have a minimum
    slope                        d ln k / d ln C = (dL_other / d ln C) / (dL_byte / d ln C) - 1 at L
    parity                       the least C from which on bytes need no more compute

Suffixes: K = point estimate and draws, M = grid of compute.
"""

from collections.abc import Iterator

import numpy as np

from bytegap.fit.censoring import ArmPair, BoundedLog, bpb_of_same_models
from bytegap.fit.estimand_builder import EstimandBuilder, LabelledEstimate, labelled_estimate, loss_grid, overlap
from bytegap.fit.frontiers import Arm, FittedFrontier
from bytegap.scaling.bootstrap import quantity
from bytegap.scaling.laws import Array
from bytegap.schema.fit import Estimand

COMPUTE_POINTS = 5
SAME_BUDGET = 0.02
"""Budgets within this difference of ln C are the same: runs match their budgets within 1 %."""
PARITY_FLOPS = np.geomspace(1e6, 1e40, 800)
"""Grid on which frontiers are searched for a crossing, 0.1 e-folds apart."""


def overheads(builder: EstimandBuilder, pair: ArmPair) -> Iterator[Estimand]:
    """All estimands of one pair in one form."""
    losses = loss_grid([arm.bpb_observed for arm in pair.arms])
    for bpb in losses:
        if found := at_loss(builder, pair, bpb):
            yield found
    byte, other = pair.byte.frontier, pair.other.frontier
    if not (byte and other):
        return
    for flops in np.geomspace(*other.arm.flops_observed, COMPUTE_POINTS).tolist():
        bpb_K = other.bpb(flops)
        observed = ln_overhead_at_compute(pair, other, flops)
        estimate = labelled_estimate(observed, pair.ln_overhead_extrapolated(bpb_K), ratio=True)
        if estimate:
            yield builder.build("overhead", estimate, at_bpb=float(bpb_K[0]), at_flops=flops)
    if common := overlap([arm.flops_observed for arm in pair.arms]):
        for flops in np.geomspace(*common, COMPUTE_POINTS).tolist():
            gap = LabelledEstimate(quantity(byte.bpb(flops) - other.bpb(flops)), "estimated")
            yield builder.build("gap", gap, at_flops=flops)
    yield _slope(builder, byte, other)
    if found := parity(builder, pair):
        yield found


def gaps_at_budgets(builder: EstimandBuilder, byte: Arm, other: Arm) -> Iterator[Estimand]:
    """Gaps between the minima of cells, at each budget that both arms have: for arms without a frontier."""
    for index, ln_flops in enumerate(byte.ln_flops_P):
        same = np.flatnonzero(np.abs(other.ln_flops_P - ln_flops) < SAME_BUDGET)
        if len(same):
            gap_K = np.exp(byte.ln_bpb_KP[:, index]) - np.exp(other.ln_bpb_KP[:, same[0]])
            gap = LabelledEstimate(quantity(gap_K), "estimated")
            yield builder.build("gap", gap, at_flops=float(np.exp(ln_flops)))


def at_loss(builder: EstimandBuilder, pair: ArmPair, bpb: float) -> Estimand | None:
    """Overhead at one loss: observed, bounded or extrapolated; None where it is none of them."""
    bpb_K = bpb_of_same_models(pair.arms, bpb)
    estimate = labelled_estimate(pair.ln_overhead(bpb_K), pair.ln_overhead_extrapolated(bpb_K), ratio=True)
    return builder.build("overhead", estimate, at_bpb=bpb) if estimate else None


def ln_overhead_at_compute(pair: ArmPair, other: FittedFrontier, flops: float) -> BoundedLog | None:
    """Overhead ln k(C) = ln C_byte(L_other(C)) - ln C, observed or bounded by the byte arm's budgets."""
    bpb_K = other.bpb(flops)
    byte = pair.byte.ln_flops(bpb_K)
    return byte.subtract(BoundedLog(np.full_like(bpb_K, np.log(flops)), "")) if byte else None


def _slope(builder: EstimandBuilder, byte: FittedFrontier, other: FittedFrontier) -> Estimand:
    """At the middle of the losses that both arms were observed at; without such losses, extrapolated at the mean."""
    losses = [byte.arm.bpb_observed, other.arm.bpb_observed]
    common = overlap(losses)
    bpb = float(np.mean(common or losses))
    bpb_K = bpb_of_same_models([byte.arm, other.arm], bpb)
    slope_K = other.slope(bpb_K) / byte.slope(bpb_K) - 1
    estimate = LabelledEstimate(quantity(slope_K), "estimated" if common else "extrapolated")
    at_flops = quantity(other.flops(bpb_K)).value
    return builder.build("slope", estimate, at_bpb=bpb, at_flops=at_flops)


def parity(builder: EstimandBuilder, pair: ArmPair) -> Estimand | None:
    """The least compute from which on bytes need no more; None where an arm has no frontier."""
    byte, other = pair.byte.frontier, pair.other.frontier
    if not (byte and other):
        return None
    flops_K = _crossing(byte, other)
    common = overlap([byte.arm.flops_observed, other.arm.flops_observed])
    observed = common is not None and common[0] <= flops_K[0] <= common[1]
    return builder.build("parity", LabelledEstimate(quantity(flops_K), "estimated" if observed else "extrapolated"))


def _crossing(byte: FittedFrontier, other: FittedFrontier) -> Array:
    """The least C at which the byte frontier falls to the other one, (K,); NaN where it never does."""
    gap_MK = (byte.irreducible_loss_K - other.irreducible_loss_K) + (
        byte.amplitude_K * PARITY_FLOPS[:, None] ** -byte.exponent_K
        - other.amplitude_K * PARITY_FLOPS[:, None] ** -other.exponent_K
    )
    crosses_MK = (gap_MK[:-1] > 0) & (gap_MK[1:] <= 0)
    first_K = crosses_MK.argmax(axis=0)
    before_K, after_K = (np.take_along_axis(gap_MK, first_K[None, :] + step, axis=0)[0] for step in (0, 1))
    crosses_K = crosses_MK.any(axis=0)
    share_K = np.where(crosses_K, before_K, 0.0) / np.where(crosses_K, before_K - after_K, 1.0)
    ln_step = np.log(PARITY_FLOPS[1] / PARITY_FLOPS[0])
    return np.where(crosses_K, PARITY_FLOPS[first_K] * np.exp(ln_step * share_K), np.nan)
