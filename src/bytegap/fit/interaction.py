"""Whether bytes cost MDM more than AR, or a changed order more than the text's: two pairs (DESIGN.md, section 1).

    at equal loss     I(L) = ln k_MDM(L) - ln k_AR(L), claimed to be above 0 and to grow as L falls
    at equal compute  ln k_MDM(C) - ln k_AR(C), not 0 even where MDM is AR at m times the compute

In that last case k_MDM(C) = k_AR(C / m), and m C' reaches for MDM what C' does for AR: the
prediction of a pure shift is ln k_AR at the loss MDM has at C, less ln k_AR at the loss AR has at
C. It is written beside each answer.

Suffix: K = point estimate and draws.
"""

from collections.abc import Iterator

import numpy as np

from bytegap.fit.answers import Subject, answer, loss_grid, overlap
from bytegap.fit.bounds import Known, Pair
from bytegap.fit.draws import quantity
from bytegap.fit.overhead import ln_overhead_at_compute
from bytegap.laws import Array
from bytegap.records import Estimand

COMPUTE_POINTS = 5


def interactions(subject: Subject, pair: Pair, base: Pair) -> Iterator[Estimand]:
    """The interaction of `pair` over `base`, at equal loss and at equal compute."""
    arms = [*pair.arms, *base.arms]
    for bpb in loss_grid([arm.bpb_observed for arm in arms]):
        if found := at_loss(subject, pair, base, bpb):
            yield found
    other, base_other = pair.other.curve, base.other.curve
    both = overlap([pair.other.arm.flops_observed, base.other.arm.flops_observed])
    if not (other and base_other and both):
        return
    for flops in np.geomspace(*both, COMPUTE_POINTS).tolist():
        bpb_K, base_bpb_K = other.bpb(flops), base_other.bpb(flops)
        known = _minus(
            ln_overhead_at_compute(pair, other, flops),
            ln_overhead_at_compute(base, base_other, flops),
        )
        at_base_K = base.ln_overhead_beyond(base_bpb_K)
        shift_K = _less(base.ln_overhead_beyond(bpb_K), at_base_K)
        beyond_K = _less(pair.ln_overhead_beyond(bpb_K), at_base_K)
        if found := answer(known, beyond_K, ratio=False):
            pure_shift = None if shift_K is None else quantity(shift_K)
            yield subject.say("interaction", found, at_flops=flops, pure_shift=pure_shift)


def at_loss(subject: Subject, pair: Pair, base: Pair, bpb: float) -> Estimand | None:
    """Interaction at one loss: observed, a bound, or extrapolated; None where nothing is known of it."""
    known = _minus(pair.ln_overhead(bpb), base.ln_overhead(bpb))
    beyond_K = _less(pair.ln_overhead_beyond(bpb), base.ln_overhead_beyond(bpb))
    found = answer(known, beyond_K, ratio=False)
    return subject.say("interaction", found, at_bpb=bpb) if found else None


def _minus(one: Known | None, base: Known | None) -> Known | None:
    return one.minus(base) if one and base else None


def _less(one_K: Array | None, base_K: Array | None) -> Array | None:
    return None if one_K is None or base_K is None else one_K - base_K
