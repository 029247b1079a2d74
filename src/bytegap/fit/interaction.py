"""Interaction: whether bytes cost more under one objective or permutation than under another; a pair of arms each.

    at equal loss     I(L) = ln k_MDM(L) - ln k_AR(L); the hypothesis is I > 0, rising as L falls
    at equal compute  ln k_MDM(C) - ln k_AR(C), which differs from 0 even where MDM is AR at m times the compute

In that case k_MDM(C) = k_AR(C / m), so the difference at equal compute is ln k_AR at the loss that MDM has at C, less
ln k_AR at the loss that AR has at C. This prediction of a pure shift is recorded with each estimate at equal compute.

Suffix: K = point estimate and draws.
"""

from collections.abc import Iterator

import numpy as np

from bytegap.fit.censoring import ArmPair, BoundedLog, bpb_of_same_models
from bytegap.fit.estimand_builder import EstimandBuilder, labelled_estimate, loss_grid, overlap
from bytegap.fit.overhead import ln_overhead_at_compute
from bytegap.scaling.bootstrap import quantity
from bytegap.scaling.laws import Array
from bytegap.schema.fit import Estimand

COMPUTE_POINTS = 5


def interactions(builder: EstimandBuilder, pair: ArmPair, base: ArmPair) -> Iterator[Estimand]:
    """The interaction of `pair` with respect to `base`, at equal loss and at equal compute."""
    arms = [*pair.arms, *base.arms]
    for bpb in loss_grid([arm.bpb_observed for arm in arms]):
        if found := at_loss(builder, pair, base, bpb):
            yield found
    other, base_other = pair.other.frontier, base.other.frontier
    common = overlap([pair.other.arm.flops_observed, base.other.arm.flops_observed])
    if not (other and base_other and common):
        return
    for flops in np.geomspace(*common, COMPUTE_POINTS).tolist():
        bpb_K, base_bpb_K = other.bpb(flops), base_other.bpb(flops)
        observed = _subtract(
            ln_overhead_at_compute(pair, other, flops),
            ln_overhead_at_compute(base, base_other, flops),
        )
        at_base_K = base.ln_overhead_extrapolated(base_bpb_K)
        shift_K = _less(base.ln_overhead_extrapolated(bpb_K), at_base_K)
        extrapolated_K = _less(pair.ln_overhead_extrapolated(bpb_K), at_base_K)
        if estimate := labelled_estimate(observed, extrapolated_K, ratio=False):
            pure_shift = None if shift_K is None else quantity(shift_K)
            yield builder.build("interaction", estimate, at_flops=flops, pure_shift=pure_shift)


def at_loss(builder: EstimandBuilder, pair: ArmPair, base: ArmPair, bpb: float) -> Estimand | None:
    """Interaction at one loss: observed, bounded or extrapolated; None where it is none of them."""
    bpb_K = bpb_of_same_models([*pair.arms, *base.arms], bpb)
    observed = _subtract(pair.ln_overhead(bpb_K), base.ln_overhead(bpb_K))
    extrapolated_K = _less(pair.ln_overhead_extrapolated(bpb_K), base.ln_overhead_extrapolated(bpb_K))
    estimate = labelled_estimate(observed, extrapolated_K, ratio=False)
    return builder.build("interaction", estimate, at_bpb=bpb) if estimate else None


def _subtract(one: BoundedLog | None, base: BoundedLog | None) -> BoundedLog | None:
    return one.subtract(base) if one and base else None


def _less(one_K: Array | None, base_K: Array | None) -> Array | None:
    return None if one_K is None or base_K is None else one_K - base_K
