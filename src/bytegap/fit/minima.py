"""Runs of about equal compute (a cell) to a parabola of log loss in ln N, and its minimum: whoever's runs they are.

Hoffmann et al. 2022 (arXiv 2203.15556, approach 2) put a parabola through the loss; here it goes
through its logarithm, since seeds and evaluation move it by a share of itself: on the log scale
one noise serves every cell, and cells of few runs can pool their residuals. Replicate seeds join
the same pool.

Intervals are a parametric bootstrap. A run varies by its own evaluation error and by a deviation
between runs, one for all the cells, such that the residuals are as large as they should be (Paule
& Mandel 1982). The whole is scaled by a draw of its own, so that few degrees of freedom widen an
interval as Student's t does.

Suffixes: K = point estimate and draws, B = draws, R = runs of the cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit.draws import UNKNOWN, interval, quantity
from bytegap.fit.parabola import Parabola, Run
from bytegap.laws import Array
from bytegap.records import Quantity

LEAST_SIZES = 4
"""Three sizes leave a parabola no residual."""
NORMAL_OVER_MAD = 1.4826
CURVE_POINTS = 41


@dataclass(frozen=True)
class Minimum:
    """A cell's lowest loss, with its draws; the quantities are unknown where there is no parabola."""

    flops: float
    """Mean over the runs of what they cost, not the nominal budget."""
    lowest_loss: float
    ln_loss_K: Array
    """Empty where there is no parabola."""
    ln_size_K: Array
    """ln N of the optimum; empty where it is not within the sizes, as is the next."""
    ln_symbols_K: Array
    loss: Quantity
    parameters: Quantity
    symbols: Quantity
    curvature: Quantity
    """Of the loss in (ln N)^2."""
    bracketed: bool
    """The optimum lies within the sizes, and the curvature's interval above 0."""
    note: str
    curve: list[tuple[float, float]]


def fit_minima(
    cells: Sequence[Sequence[Run]], bootstraps: int, rng: np.random.Generator
) -> tuple[list[Minimum], float]:
    """(a minimum a cell, pooled residual deviation of log loss); cells of too few sizes have no parabola."""
    parabolas = [Parabola(runs) for runs in cells]
    fittable = [parabola for parabola in parabolas if parabola.sizes >= LEAST_SIZES]
    if not fittable:
        return [_unfitted(parabola) for parabola in parabolas], 0.0
    noise, deviations = _deviations(fittable, bootstraps, rng)
    fitted = [
        _fitted(parabola, deviations, rng) if parabola in fittable else _unfitted(parabola) for parabola in parabolas
    ]
    return fitted, noise


@dataclass(frozen=True)
class _Deviations:
    """How log loss varies between runs, evaluation error apart; draws of a factor on the whole."""

    between: float
    factor_B: Array


def _deviations(cells: Sequence[Parabola], bootstraps: int, rng: np.random.Generator) -> tuple[float, _Deviations]:
    """Make every cell's parabola robust, then pool their residuals: (noise, how runs vary)."""
    freedom = sum(cell.freedom for cell in cells)
    runs = sum(len(cell.runs) for cell in cells)
    residual = np.concatenate([cell.residual_R for cell in cells])
    scale = NORMAL_OVER_MAD * float(np.median(np.abs(residual))) * (runs / freedom) ** 0.5
    if scale > 0:
        for cell in cells:
            cell.resist(scale)
    residual = np.concatenate([cell.residual_R for cell in cells])
    evaluation = np.concatenate([cell.relative_se_R for cell in cells])
    factor_B = np.sqrt(freedom / rng.chisquare(freedom, bootstraps))
    noise = (float(residual @ residual) / freedom) ** 0.5
    return noise, _Deviations(_between(residual, evaluation, freedom), factor_B)


def _between(residual: Array, evaluation: Array, freedom: int) -> float:
    """The s at which the squared residuals over s^2 + evaluation^2 sum to the degrees of freedom, by bisection.

    0 where evaluation errors alone explain the residuals; runs without such an error keep it above.
    """
    low, high = 0.0, float(residual @ residual) / freedom
    for _ in range(50 if high > 0 else 0):
        middle = (low + high) / 2
        too_small = float(np.sum(residual**2 / (middle + evaluation**2))) > freedom
        low, high = (middle, high) if too_small else (low, middle)
    return high**0.5


def _fitted(parabola: Parabola, deviations: _Deviations, rng: np.random.Generator) -> Minimum:
    deviation_R = np.hypot(deviations.between, parabola.relative_se_R)
    noise_BR = rng.standard_normal((len(deviations.factor_B), len(deviation_R))) * deviation_R
    coefficients_K3 = parabola.draw(noise_BR * deviations.factor_B[:, None])
    x_K, ln_loss_K = parabola.minimum(coefficients_K3)
    curvature_K = coefficients_K3[:, 2] * np.exp(ln_loss_K)
    curvature_ci95 = interval(curvature_K[1:])
    low, high = parabola.range
    inside = bool(low < x_K[0] < high)
    bent = curvature_ci95 is not None and curvature_ci95[0] > 0
    if not inside:
        note = f"the lowest loss is at the {'largest' if x_K[0] >= high else 'smallest'} size tried"
    else:
        note = "" if bent else "the curvature's interval reaches 0"
    ln_size_K = parabola.centre + x_K if inside else np.empty(0)
    ln_symbols_K = parabola.ln_symbols_at(x_K) if inside else np.empty(0)
    return Minimum(
        flops=parabola.flops,
        lowest_loss=float(np.exp(ln_loss_K[0])),
        ln_loss_K=ln_loss_K,
        ln_size_K=ln_size_K,
        ln_symbols_K=ln_symbols_K,
        loss=quantity(np.exp(ln_loss_K)),
        parameters=quantity(np.exp(ln_size_K)) if inside else UNKNOWN,
        symbols=quantity(np.exp(ln_symbols_K)) if inside else UNKNOWN,
        curvature=quantity(curvature_K),
        bracketed=inside and bent,
        note=note,
        curve=parabola.curve(CURVE_POINTS),
    )


def _unfitted(parabola: Parabola) -> Minimum:
    return Minimum(
        flops=parabola.flops,
        lowest_loss=float(np.exp(parabola.ln_loss_R.min())),
        ln_loss_K=np.empty(0),
        ln_size_K=np.empty(0),
        ln_symbols_K=np.empty(0),
        loss=UNKNOWN,
        parameters=UNKNOWN,
        symbols=UNKNOWN,
        curvature=UNKNOWN,
        bracketed=False,
        note=f"{parabola.sizes} sizes finished, a parabola needs {LEAST_SIZES}",
        curve=[],
    )
