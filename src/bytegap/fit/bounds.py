"""What is known of the compute at a loss: observed, or bounded by the budgets tried; differences.

An arm whose lowest observed BPB lies above L never got to L, so C(L) > C_max; one whose highest
lies below L was there at its smallest budget, so C(L) < C_min. Overhead and interaction are
differences of logarithms, so one rule carries bounds through both: a - b is bounded from a's side,
or from the other side than b, and from none where the two disagree.

Suffix: K = point estimate and draws.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bytegap.fit.frontiers import Arm, Curve
from bytegap.laws import Array

Side = Literal["", ">", "<"]
OPPOSITE: dict[Side, Side] = {"": "", ">": "<", "<": ">"}


@dataclass(frozen=True)
class Known:
    """A logarithm itself where `side` is empty, else what it lies above (>) or below (<)."""

    ln_K: Array
    side: Side

    def minus(self, other: "Known") -> "Known | None":
        """The difference; None where the two bounds leave it open on both sides."""
        mine, theirs = self.side, OPPOSITE[other.side]
        if mine and theirs and mine != theirs:
            return None
        return Known(self.ln_K - other.ln_K, mine or theirs)


@dataclass(frozen=True)
class Reach:
    """An arm and its frontier in one form; None where its budgets carry none."""

    arm: Arm
    curve: Curve | None

    def ln_flops(self, bpb_K: float | Array) -> Known | None:
        """Compute at a loss, ln C(L), seen or bounded, judged at the point estimate of L.

        None where the arm has no frontier and only one could say.
        """
        bpb = float(np.ravel(bpb_K)[0])
        lowest, highest = self.arm.bpb_observed
        least, most = self.arm.flops_observed
        draws = self.arm.ln_bpb_KP.shape[0]
        if bpb < lowest:
            return Known(np.repeat(np.log([most]), draws), ">")
        if bpb > highest:
            return Known(np.repeat(np.log([least]), draws), "<")
        return Known(np.log(self.curve.flops(bpb_K)), "") if self.curve else None


@dataclass(frozen=True)
class Pair:
    """A byte arm and one of another symbol set, alike in all else, in one form."""

    byte: Reach
    other: Reach

    @property
    def arms(self) -> list[Arm]:
        """Byte arm first."""
        return [self.byte.arm, self.other.arm]

    def ln_overhead(self, bpb_K: float | Array) -> Known | None:
        """Overhead, ln k(L) = ln C_byte(L) - ln C_other(L), as far as it was observed."""
        byte, other = self.byte.ln_flops(bpb_K), self.other.ln_flops(bpb_K)
        return byte.minus(other) if byte and other else None

    def ln_overhead_beyond(self, bpb_K: float | Array) -> Array | None:
        """Overhead off the frontiers alone, however far; None where one is missing."""
        if not (self.byte.curve and self.other.curve):
            return None
        return np.log(self.byte.curve.flops(bpb_K)) - np.log(self.other.curve.flops(bpb_K))
