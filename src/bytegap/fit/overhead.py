"""What bytes cost one objective: a byte arm against one of another symbol set.

    overhead at equal loss       k(L) = C_byte(L) / C_other(L)      on a grid of L
    overhead at equal compute    k(C) = C_byte(L_other(C)) / C      on a grid of C
    gap                          L_byte(C) - L_other(C)             where both were observed, or both have a minimum
    slope                        d ln k / d ln C = (dL_other / d ln C) / (dL_byte / d ln C) - 1 at L
    parity                       the C from which on bytes cost no more

Suffixes: K = point estimate and draws, M = grid of compute.
"""

from collections.abc import Iterator

import numpy as np

from bytegap.fit.answers import Answer, Subject, answer, loss_grid, overlap
from bytegap.fit.bounds import Known, Pair
from bytegap.fit.draws import quantity
from bytegap.fit.frontiers import Arm, Curve
from bytegap.laws import Array
from bytegap.records import Estimand

COMPUTE_POINTS = 5
SAME_BUDGET = 0.02
"""In ln C: runs match their budgets within 1 %."""
PARITY_FLOPS = np.geomspace(1e6, 1e40, 800)
"""Where a crossing of frontiers is looked for, 0.1 e-folds apart."""


def overheads(subject: Subject, pair: Pair) -> Iterator[Estimand]:
    """Every estimand of one pair in one form."""
    losses = loss_grid([arm.bpb_observed for arm in pair.arms])
    for bpb in losses:
        if found := at_loss(subject, pair, bpb):
            yield found
    byte, other = pair.byte.curve, pair.other.curve
    if not (byte and other):
        return
    for flops in np.geomspace(*other.arm.flops_observed, COMPUTE_POINTS).tolist():
        bpb_K = other.bpb(flops)
        found = answer(ln_overhead_at_compute(pair, other, flops), pair.ln_overhead_beyond(bpb_K), ratio=True)
        if found:
            yield subject.say("overhead", found, at_bpb=float(bpb_K[0]), at_flops=flops)
    if both := overlap([arm.flops_observed for arm in pair.arms]):
        for flops in np.geomspace(*both, COMPUTE_POINTS).tolist():
            gap = Answer(quantity(byte.bpb(flops) - other.bpb(flops)), "estimated")
            yield subject.say("gap", gap, at_flops=flops)
    yield _slope(subject, byte, other)
    if found := parity(subject, pair):
        yield found


def gaps_at_budgets(subject: Subject, byte: Arm, other: Arm) -> Iterator[Estimand]:
    """Gaps of the minima themselves, at each budget that has one of either arm: for arms without a frontier."""
    for place, ln_flops in enumerate(byte.ln_flops_P):
        same = np.flatnonzero(np.abs(other.ln_flops_P - ln_flops) < SAME_BUDGET)
        if len(same):
            gap_K = np.exp(byte.ln_bpb_KP[:, place]) - np.exp(other.ln_bpb_KP[:, same[0]])
            yield subject.say("gap", Answer(quantity(gap_K), "estimated"), at_flops=float(np.exp(ln_flops)))


def at_loss(subject: Subject, pair: Pair, bpb: float) -> Estimand | None:
    """Overhead at one loss: observed, a bound, or extrapolated; None where nothing is known of it."""
    found = answer(pair.ln_overhead(bpb), pair.ln_overhead_beyond(bpb), ratio=True)
    return subject.say("overhead", found, at_bpb=bpb) if found else None


def ln_overhead_at_compute(pair: Pair, other: Curve, flops: float) -> Known | None:
    """Overhead, ln k(C) = ln C_byte(L_other(C)) - ln C, as far as the byte arm was observed."""
    bpb_K = other.bpb(flops)
    known = pair.byte.ln_flops(bpb_K)
    return known.minus(Known(np.full_like(bpb_K, np.log(flops)), "")) if known else None


def _slope(subject: Subject, byte: Curve, other: Curve) -> Estimand:
    """At the middle of the losses that both observed, else extrapolated at the middle of all."""
    losses = [byte.arm.bpb_observed, other.arm.bpb_observed]
    both = overlap(losses)
    bpb = float(np.mean(both or losses))
    slope_K = other.slope(bpb) / byte.slope(bpb) - 1
    found = Answer(quantity(slope_K), "estimated" if both else "extrapolated")
    at_flops = quantity(other.flops(bpb)).value
    return subject.say("slope", found, at_bpb=bpb, at_flops=at_flops)


def parity(subject: Subject, pair: Pair) -> Estimand | None:
    """The compute from which on bytes cost no more; None where an arm has no frontier."""
    byte, other = pair.byte.curve, pair.other.curve
    if not (byte and other):
        return None
    flops_K = _crossing(byte, other)
    both = overlap([byte.arm.flops_observed, other.arm.flops_observed])
    seen = both is not None and both[0] <= flops_K[0] <= both[1]
    return subject.say("parity", Answer(quantity(flops_K), "estimated" if seen else "extrapolated"))


def _crossing(byte: Curve, other: Curve) -> Array:
    """The least C at which the byte frontier comes down to the other; NaN where it does not."""
    gap_MK = (byte.floor_K - other.floor_K) + (
        byte.amplitude_K * PARITY_FLOPS[:, None] ** -byte.exponent_K
        - other.amplitude_K * PARITY_FLOPS[:, None] ** -other.exponent_K
    )
    meets_MK = (gap_MK[:-1] > 0) & (gap_MK[1:] <= 0)
    first_K = meets_MK.argmax(axis=0)
    before_K, after_K = (np.take_along_axis(gap_MK, first_K[None, :] + step, axis=0)[0] for step in (0, 1))
    met_K = meets_MK.any(axis=0)
    share_K = np.where(met_K, before_K, 0.0) / np.where(met_K, before_K - after_K, 1.0)
    ln_step = np.log(PARITY_FLOPS[1] / PARITY_FLOPS[0])
    return np.where(met_K, PARITY_FLOPS[first_K] * np.exp(ln_step * share_K), np.nan)
