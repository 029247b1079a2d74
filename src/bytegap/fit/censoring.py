"""The compute at a loss, observed or bounded by the budgets of an arm, and differences of such bounds.

An arm whose lowest observed BPB is above L did not attain L within its budgets, so C(L) > C_max. An arm whose highest
observed BPB is below L attained it at its smallest budget or earlier, so C(L) < C_min. Overhead and interaction are
differences of logarithms, so bounds carry over by one rule: a - b is bounded as a is, and on the opposite side of b's
bound; if these two disagree, it is not bounded.

Suffix: K = point estimate and draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bytegap.fit.frontiers import Arm, FittedFrontier
from bytegap.scaling.laws import Array

Side = Literal["", ">", "<"]
OPPOSITE: dict[Side, Side] = {"": "", ">": "<", "<": ">"}


@dataclass(frozen=True)
class BoundedLog:
    """A logarithm where `side` is empty; else a number that the logarithm is above (>) or below (<)."""

    ln_K: Array
    side: Side

    def subtract(self, other: "BoundedLog") -> "BoundedLog | None":
        """This logarithm less the other; None where the two bounds contradict in direction."""
        own, opposite = self.side, OPPOSITE[other.side]
        if own and opposite and own != opposite:
            return None
        return BoundedLog(self.ln_K - other.ln_K, own or opposite)


@dataclass(frozen=True)
class ArmFrontier:
    """An arm and its frontier in one form; None where its budgets allow none."""

    arm: Arm
    frontier: FittedFrontier | None

    def ln_flops(self, bpb_K: float | Array) -> BoundedLog | None:
        """Compute at a loss, ln C(L), observed or bounded; which of them is decided at the point estimate of L.

        None where L is within the observed losses and the arm has no frontier.
        """
        bpb = float(np.ravel(bpb_K)[0])
        lowest, highest = self.arm.bpb_observed
        least, most = self.arm.flops_observed
        draws = self.arm.ln_bpb_KP.shape[0]
        if bpb < lowest:
            return BoundedLog(np.repeat(np.log([most]), draws), ">")
        if bpb > highest:
            return BoundedLog(np.repeat(np.log([least]), draws), "<")
        return BoundedLog(_ln_flops(self.frontier, bpb_K), "") if self.frontier else None


@dataclass(frozen=True)
class ArmPair:
    """A byte arm and an arm of another tokenizer, equal in all else, with their frontiers in one form."""

    byte: ArmFrontier
    other: ArmFrontier

    @property
    def arms(self) -> tuple[Arm, Arm]:
        """(byte arm, other arm)."""
        return self.byte.arm, self.other.arm

    def ln_overhead(self, bpb_K: float | Array) -> BoundedLog | None:
        """Overhead ln k(L) = ln C_byte(L) - ln C_other(L), observed or bounded; None where it is neither."""
        byte, other = self.byte.ln_flops(bpb_K), self.other.ln_flops(bpb_K)
        return byte.subtract(other) if byte and other else None

    def ln_overhead_extrapolated(self, bpb_K: float | Array) -> Array | None:
        """Overhead by the frontiers alone, at any loss, (K,); None where an arm has no frontier."""
        if not (self.byte.frontier and self.other.frontier):
            return None
        return _ln_flops(self.byte.frontier, bpb_K) - _ln_flops(self.other.frontier, bpb_K)


def bpb_of_same_models(arms: Sequence[Arm], bpb: float) -> Array:
    """The loss, in every draw of held-out documents, of models that have `bpb` on the test text, (K,).

    Documents that are harder for all arms raise all losses and leave the compute at which arms are equal as it is. So
    the loss at which arms are compared moves by what a draw of documents changes in their losses on average.
    """
    shift_K = sum((arm.document_shift_K for arm in arms), np.zeros(1)) / len(arms)
    return bpb * np.exp(shift_K)


def _ln_flops(frontier: FittedFrontier, bpb_K: float | Array) -> Array:
    """Logarithm of C(L); infinite, without a warning, where the compute of a draw is beyond floating point."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.log(frontier.flops(bpb_K))
