"""Which runs of an IsoFLOP cell its curve is fitted to: all, or in a wide grid those near the minimum.

A polynomial of ln N describes the loss near its minimum. Over sizes that differ by a factor of 400 the best parabola
misses the minimum, and the fitted exponent of N_opt(C) with it.

Suffixes: R = runs of one cell, S = its sizes.
"""

import numpy as np
from numpy.typing import NDArray

from bytegap.scaling.laws import Array

WIDE = float(np.log(64.0))
"""A cell whose largest size is more than this far above its smallest, in ln N, is fitted near its minimum only."""
HALF_WIDTH = float(np.log(4.0))
"""Distance from the minimum, in ln N, up to which runs are used there."""
LEAST_SIZES = 4
"""A parabola through three sizes has no residual."""
ROUNDS = 20


def near_minimum(ln_size_R: Array, ln_loss_R: Array) -> NDArray[np.bool_]:
    """Whether each run is used: all in a cell that is not wide; else those within `HALF_WIDTH` of the minimum.

    The minimum is that of a parabola through the runs used, iterated to a fixed point from the run of lowest loss. The
    nearest `LEAST_SIZES` sizes are always used.
    """
    used_R = np.ones(len(ln_size_R), dtype=np.bool_)
    size_S = np.unique(ln_size_R)
    if size_S[-1] - size_S[0] <= WIDE or len(size_S) <= LEAST_SIZES:
        return used_R
    centre = float(ln_size_R[ln_loss_R.argmin()])
    for _ in range(ROUNDS):
        reach = max(HALF_WIDTH, float(np.sort(np.abs(size_S - centre))[LEAST_SIZES - 1]))
        before_R, used_R = used_R, np.abs(ln_size_R - centre) <= reach + 1e-9
        if (before_R == used_R).all():
            break
        centre = _vertex(ln_size_R[used_R], ln_loss_R[used_R])
    return used_R


def _vertex(ln_size_R: Array, ln_loss_R: Array) -> float:
    """Log of N at the lowest point of a parabola within the range of sizes."""
    middle = float(ln_size_R.mean())
    c, b, _ = np.polyfit(ln_size_R - middle, ln_loss_R, 2)
    if c > 0:
        return float(np.clip(middle - b / (2 * c), ln_size_R.min(), ln_size_R.max()))
    return float(ln_size_R[ln_loss_R.argmin()])
