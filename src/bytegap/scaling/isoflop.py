"""IsoFLOP minima: for each cell of runs of about equal compute, the lowest loss over model size, with intervals.

Hoffmann et al. 2022 (arXiv 2203.15556, approach 2) fit a parabola to the loss in ln N. Here it is fitted to the log of
the loss, because seeds and evaluation change the loss by a fraction of itself: on the log scale one noise level serves
all cells, and cells of few runs can pool their residuals. Repeated seeds are further residuals of the same pool.

Intervals are a parametric bootstrap. The variance of a run is that of its own evaluation plus a between-run variance,
common to all cells and chosen so that the residuals have their expected size (Paule & Mandel 1982). The noise of each
draw is multiplied by a factor drawn from the distribution of the estimated deviation, so that few degrees of freedom
widen an interval as in Student's t distribution.

Suffixes: K = point estimate and draws, B = draws, R = runs of the cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.scaling.bootstrap import UNKNOWN, interval, quantity
from bytegap.scaling.laws import Array
from bytegap.scaling.parabola import Parabola, RunPoint
from bytegap.schema.base import Quantity

LEAST_SIZES = 4
"""A parabola through three sizes has no residual."""
NORMAL_OVER_MAD = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""
CURVE_POINTS = 41
BISECTIONS = 50


@dataclass(frozen=True)
class Minimum:
    """The lowest loss of a cell, with draws; the quantities are unknown where no parabola was fitted."""

    flops: float
    """Mean compute of the runs, which may differ from the nominal budget."""
    lowest_loss: float
    """At the parabola's minimum; of the best run where no parabola was fitted."""
    ln_loss_K: Array
    """Empty where no parabola was fitted."""
    ln_size_K: Array
    """ln N of the optimum; empty where the optimum is not within the range of sizes."""
    ln_tokens_K: Array
    """ln D of the optimum; empty where `ln_size_K` is."""
    loss: Quantity
    parameters: Quantity
    tokens: Quantity
    curvature: Quantity
    """Coefficient of (ln N)^2, in units of the loss."""
    bracketed: bool
    """The optimum is within the range of sizes, and the curvature's interval is above 0."""
    note: str
    """Why it is not bracketed; else empty."""
    curve: tuple[tuple[float, float], ...]
    """(N, loss) along the parabola."""


def fit_minima(
    cells: Sequence[Sequence[RunPoint]], bootstraps: int, rng: np.random.Generator
) -> tuple[list[Minimum], float]:
    """(the minimum of each cell, pooled residual deviation of log loss).

    Cells of fewer than `LEAST_SIZES` sizes get no parabola.
    """
    parabolas = [Parabola(runs) for runs in cells]
    fittable = [parabola for parabola in parabolas if parabola.sizes >= LEAST_SIZES]
    if not fittable:
        return [_unfitted(parabola) for parabola in parabolas], 0.0
    residual_sd, noise = _noise(fittable, bootstraps, rng)
    fitted = [_fitted(parabola, noise, rng) if parabola in fittable else _unfitted(parabola) for parabola in parabolas]
    return fitted, residual_sd


@dataclass(frozen=True)
class _Noise:
    """Noise of log loss apart from evaluation error."""

    between_run_sd: float
    factor_B: Array
    """Draws of a factor on all noise, for the uncertainty of its estimate."""


def _noise(cells: Sequence[Parabola], bootstraps: int, rng: np.random.Generator) -> tuple[float, _Noise]:
    """Refit every cell by Huber's estimate, then pool their residuals: (residual deviation, noise)."""
    dof = sum(cell.dof for cell in cells)
    runs = sum(len(cell.runs) for cell in cells)
    residual = np.concatenate([cell.residual_R for cell in cells])
    scale = NORMAL_OVER_MAD * float(np.median(np.abs(residual))) * (runs / dof) ** 0.5
    if scale > 0:
        for cell in cells:
            cell.reweight(scale)
    residual = np.concatenate([cell.residual_R for cell in cells])
    evaluation = np.concatenate([cell.relative_se_R for cell in cells])
    factor_B = np.sqrt(dof / rng.chisquare(dof, bootstraps))
    residual_sd = (float(residual @ residual) / dof) ** 0.5
    return residual_sd, _Noise(_between_run_sd(residual, evaluation, dof), factor_B)


def _between_run_sd(residual: Array, evaluation: Array, dof: int) -> float:
    """The s at which SUM residual^2 / (s^2 + evaluation^2) equals the degrees of freedom, by bisection.

    0 where evaluation errors alone explain the residuals; runs without an evaluation error keep it above 0.
    """
    low, high = 0.0, float(residual @ residual) / dof
    for _ in range(BISECTIONS if high > 0 else 0):
        middle = (low + high) / 2
        too_small = float(np.sum(residual**2 / (middle + evaluation**2))) > dof
        low, high = (middle, high) if too_small else (low, middle)
    return high**0.5


def _fitted(parabola: Parabola, noise: _Noise, rng: np.random.Generator) -> Minimum:
    deviation_R = np.hypot(noise.between_run_sd, parabola.relative_se_R)
    noise_BR = rng.standard_normal((len(noise.factor_B), len(deviation_R))) * deviation_R
    coefficients_K3 = parabola.draw(noise_BR * noise.factor_B[:, None])
    x_K, ln_loss_K = parabola.minimum(coefficients_K3)
    curvature_K = coefficients_K3[:, 2] * np.exp(ln_loss_K)
    curvature_ci95 = interval(curvature_K[1:])
    low, high = parabola.range
    inside = bool(low < x_K[0] < high)
    curved = curvature_ci95 is not None and curvature_ci95[0] > 0
    if not inside:
        note = f"the lowest loss is at the {'largest' if x_K[0] >= high else 'smallest'} size tried"
    else:
        note = "" if curved else "the curvature's interval includes 0"
    ln_size_K = parabola.centre + x_K if inside else np.empty(0)
    ln_tokens_K = parabola.ln_tokens_at(x_K) if inside else np.empty(0)
    return Minimum(
        flops=parabola.flops,
        lowest_loss=float(np.exp(ln_loss_K[0])),
        ln_loss_K=ln_loss_K,
        ln_size_K=ln_size_K,
        ln_tokens_K=ln_tokens_K,
        loss=quantity(np.exp(ln_loss_K)),
        parameters=quantity(np.exp(ln_size_K)) if inside else UNKNOWN,
        tokens=quantity(np.exp(ln_tokens_K)) if inside else UNKNOWN,
        curvature=quantity(curvature_K),
        bracketed=inside and curved,
        note=note,
        curve=parabola.curve(CURVE_POINTS),
    )


def _unfitted(parabola: Parabola) -> Minimum:
    return Minimum(
        flops=parabola.flops,
        lowest_loss=float(np.exp(parabola.ln_loss_R.min())),
        ln_loss_K=np.empty(0),
        ln_size_K=np.empty(0),
        ln_tokens_K=np.empty(0),
        loss=UNKNOWN,
        parameters=UNKNOWN,
        tokens=UNKNOWN,
        curvature=UNKNOWN,
        bracketed=False,
        note=f"{parabola.sizes} sizes finished, a parabola needs {LEAST_SIZES}",
        curve=(),
    )
