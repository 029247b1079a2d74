"""What is known of one arm before its budgets are placed: losses, sizes and seconds at every budget it might get.

Pure functions on arrays.
Suffixes: K = draws of the law, the estimate first; B = budgets that may be chosen; J = sizes; S = sizes of a cell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bytegap.plan.rough_law import RoughLaw
from bytegap.scaling.laws import Array

Bools = NDArray[np.bool_]

CONTEXT_BPB = 0.5
"""Least distance of a cell's minimum from the unigram."""
CONTEXT_MARGIN_BPB = 0.1
"""Added to it when budgets are placed: test text differs from validation text."""
_EDGE = np.log(1.25)
"""Least distance of the best size from the smallest and largest in ln N."""
_CURVED = 2.5
"""Deviations by which a cell's curvature must exceed 0, for its interval to do so."""
_ENOUGH = 0.95
"""Share of the draws in which a cell must be bracketed for sizes that are no further apart."""
_CELL_SD = 0.003
"""Deviation of ln L that the runs of a cell have in common if they share a seed (assumption)."""


@dataclass(frozen=True)
class CellGrid:
    """The runs of a cell."""

    sizes: int
    largest_spacing: int
    """Steps of the list of sizes from one size to the next, at most."""
    runs: int = 1
    """Of each size: all seeds and repeats of the study."""


@dataclass(frozen=True)
class Sizing:
    """Sizes of a cell by index, and what they are good for."""

    sizes: tuple[int, ...]
    bracketed_K: Bools
    """Whether the draws' best size is between them, and the curvature plain."""
    ln_bpb_sd: float
    """Standard deviation of ln L at the minimum."""
    seconds: float


@dataclass(frozen=True)
class Outlook:
    """What is known of one arm before its budgets are placed."""

    law: RoughLaw
    flops_B: Array
    """Budgets that may be chosen, ascending."""
    sizings: tuple[Sizing | None, ...]
    """Of each budget; None where it trains too few sizes."""
    bpb_KB: Array
    """Loss of the best size."""
    bpb_sd_B: Array
    """Its standard deviation among draws."""
    usable_KB: Bools
    """Whether a cell would enter the frontier."""
    ln_bpb_sd_B: Array
    """Standard deviation of ln L at a cell's minimum."""

    @property
    def highest_bpb(self) -> float:
        """The highest loss of use: that far below the unigram."""
        return self.law.unigram_bpb - CONTEXT_BPB - CONTEXT_MARGIN_BPB


def outlook(law: RoughLaw, flops_B: Array, ln_params_J: Array, seconds_BJ: Array, grid: CellGrid) -> Outlook:
    """The outlook of an arm; `seconds_BJ` is of all runs of a size, NaN where a budget cannot train it.

    Sizes are next to each other unless that leaves the minimum in doubt.
    """
    best_KB = law.ln_params(flops_B)
    sizings = tuple(
        _sizing(law, ln_params_J, seconds_J, best_KB[:, index], grid) for index, seconds_J in enumerate(seconds_BJ)
    )
    bpb_KB = law.bpb(flops_B)
    none_K = np.zeros(len(bpb_KB), dtype=np.bool_)
    bracketed_KB = np.stack([none_K if each is None else each.bracketed_K for each in sizings], axis=1)
    usable_KB = bracketed_KB & (bpb_KB <= law.unigram_bpb - CONTEXT_BPB)
    ln_bpb_sd_B = np.array([np.inf if each is None else each.ln_bpb_sd for each in sizings])
    return Outlook(law, flops_B, sizings, bpb_KB, bpb_KB.std(axis=0), usable_KB, ln_bpb_sd_B)


def _sizing(law: RoughLaw, ln_params_J: Array, seconds_J: Array, best_K: Array, grid: CellGrid) -> Sizing | None:
    trainable = int(np.isfinite(seconds_J).sum())
    found: Sizing | None = None
    for spacing in range(1, grid.largest_spacing + 1):
        span = (grid.sizes - 1) * spacing
        if trainable <= span:
            break
        offset_J = np.abs(ln_params_J - np.median(best_K))
        start = min(range(trainable - span), key=lambda first: max(offset_J[first], offset_J[first + span]))
        chosen = tuple(range(start, start + span + 1, spacing))
        bracketed_K, sd = _assessed(law, ln_params_J[list(chosen)], best_K, grid.runs)
        candidate = Sizing(chosen, bracketed_K, sd, float(seconds_J[list(chosen)].sum()))
        if found is None or candidate.bracketed_K.mean() > found.bracketed_K.mean():
            found = candidate
        if found.bracketed_K.mean() >= _ENOUGH:
            break
    return found


def _assessed(law: RoughLaw, ln_params_S: Array, best_K: Array, runs: int) -> tuple[Bools, float]:
    """(`bracketed_K`, `ln_bpb_sd`) of so many runs of each of these sizes, by least squares of a parabola.

    Runs of a size have seeds of their own, so that noise falls with the root of their number.
    """
    x_S = ln_params_S - np.median(best_K)
    design_S3 = np.vander(x_S, 3, increasing=True)
    covariance_33 = law.noise**2 / runs * np.linalg.inv(design_S3.T @ design_S3)
    curvature_K = law.curvature_K
    vertex_sd_K = np.sqrt(covariance_33[1, 1]) / (2 * curvature_K)
    inside_K = (best_K - vertex_sd_K > ln_params_S[0] + _EDGE) & (best_K + vertex_sd_K < ln_params_S[-1] - _EDGE)
    curved_K = curvature_K > _CURVED * np.sqrt(covariance_33[2, 2])
    return inside_K & curved_K, float(np.sqrt(covariance_33[0, 0] + _CELL_SD**2 / runs))
