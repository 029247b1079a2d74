"""Runs of one arm at one budget (a cell) to a parabola of log BPB in ln N, and its minimum.

Hoffmann et al. 2022 (arXiv 2203.15556, approach 2) put a parabola through the loss; here it goes
through its logarithm, since seeds and evaluation move BPB by a share of itself: on the log scale
one noise serves every cell, and cells of few runs can pool their residuals. Replicate seeds join
the same pool.

Intervals are a parametric bootstrap. A run varies by its own evaluation error and by a deviation
between runs, one for the whole study, such that the residuals are as large as they should be (Paule
& Mandel 1982). The whole is scaled by a draw of its own, so that few degrees of freedom widen an
interval as Student's t does.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.errors import FitError
from bytegap.fit.draws import UNKNOWN, interval, quantity
from bytegap.fit.parabola import Parabola
from bytegap.laws import Array
from bytegap.records import Cell, RunRow

LEAST_SIZES = 4
"""Three sizes leave a parabola no residual."""
LEARNS_CONTEXT_BPB = 0.5
"""How far below its own unigram a cell must come to count as learning context."""
NORMAL_OVER_MAD = 1.4826
CURVE_POINTS = 41


@dataclass(frozen=True)
class FittedCell:
    """A cell as recorded, with what the frontiers need of it."""

    cell: Cell
    flops: float
    """Mean over its runs of what they cost, not the nominal budget."""
    ln_bpb_K: Array
    """Log of the lowest BPB, point estimate and draws; empty where there is no parabola."""


@dataclass(frozen=True)
class Isoflop:
    """Every cell of a study."""

    cells: list[FittedCell]
    noise_log_bpb: float
    warnings: list[str]


def fit_cells(rows: Sequence[RunRow], bootstraps: int, rng: np.random.Generator) -> Isoflop:
    """All cells, by arm and budget; FitError where not one has enough sizes for a parabola."""
    groups: dict[tuple[str, float], list[RunRow]] = defaultdict(list)
    warnings: list[str] = []
    for row in rows:
        if row.status == "finished" and row.bpb is not None and row.bpb > 0:
            groups[row.arm, row.budget_flops].append(row)
        else:
            where = f"run {row.run} ({row.arm}, {row.budget_flops:.2g} FLOPs)"
            warnings.append(f"{where} is left out: {row.reason or 'it has no BPB'}")
    cells = [Parabola(groups[key]) for key in sorted(groups)]
    fittable = [cell for cell in cells if cell.sizes >= LEAST_SIZES]
    if not fittable:
        message = (
            f"no arm has finished runs of {LEAST_SIZES} sizes at one budget, so no parabola can be "
            "fitted: run 'bytegap train' to the end, or raise 'sizes' in the study's [grid]"
        )
        raise FitError(message)
    noise, deviations = _deviations(fittable, bootstraps, rng)
    fitted = [_fitted(cell, deviations, rng) if cell in fittable else _unfitted(cell) for cell in cells]
    return Isoflop(fitted, noise, warnings)


@dataclass(frozen=True)
class _Deviations:
    """How log BPB varies between runs, evaluation error apart; draws of a factor on the whole."""

    between: float
    factor_B: Array


def _deviations(cells: Sequence[Parabola], bootstraps: int, rng: np.random.Generator) -> tuple[float, _Deviations]:
    """Make every cell's parabola robust, then pool their residuals: (noise, how runs vary)."""
    freedom = sum(cell.freedom for cell in cells)
    runs = sum(len(cell.rows) for cell in cells)
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


def _fitted(parabola: Parabola, deviations: _Deviations, rng: np.random.Generator) -> FittedCell:
    deviation_R = np.hypot(deviations.between, parabola.relative_se_R)
    noise_BR = rng.standard_normal((len(deviations.factor_B), len(deviation_R))) * deviation_R
    coefficients_K3 = parabola.draw(noise_BR * deviations.factor_B[:, None])
    x_K, ln_bpb_K = parabola.minimum(coefficients_K3)
    curvature_K = coefficients_K3[:, 2] * np.exp(ln_bpb_K)
    curvature_ci95 = interval(curvature_K[1:])
    low, high = parabola.range
    inside = bool(low < x_K[0] < high)
    bent = curvature_ci95 is not None and curvature_ci95[0] > 0
    if not inside:
        note = f"the lowest BPB is at the {'largest' if x_K[0] >= high else 'smallest'} size tried"
    else:
        note = "" if bent else "the curvature's interval reaches 0"
    cell = _record(parabola, float(np.exp(ln_bpb_K[0])), bracketed=inside and bent, note=note)
    known = {
        "optimum_bpb": quantity(np.exp(ln_bpb_K)),
        "curvature": quantity(curvature_K),
        "curve": parabola.curve(CURVE_POINTS),
    }
    if inside:
        known["optimum_parameters"] = quantity(np.exp(parabola.centre + x_K))
        known["optimum_symbols"] = quantity(parabola.symbols_at(x_K))
    return FittedCell(cell.model_copy(update=known), _mean_flops(parabola), ln_bpb_K)


def _unfitted(parabola: Parabola) -> FittedCell:
    note = f"{parabola.sizes} sizes finished, a parabola needs {LEAST_SIZES}"
    lowest_bpb = float(np.exp(parabola.ln_bpb_R.min()))
    cell = _record(parabola, lowest_bpb, bracketed=False, note=note)
    return FittedCell(cell, _mean_flops(parabola), np.empty(0))


def _record(parabola: Parabola, lowest_bpb: float, *, bracketed: bool, note: str) -> Cell:
    """The cell's runs and judgements; the parabola's numbers are still unknown."""
    rows = parabola.rows
    below_bpb = rows[0].unigram_bpb - lowest_bpb
    learns_context = below_bpb >= LEARNS_CONTEXT_BPB
    not_learning = f"not yet learning context: {below_bpb:.2f} BPB below its unigram"
    notes = [note, "" if learns_context else not_learning]
    return Cell(
        arm=rows[0].arm,
        budget_flops=rows[0].budget_flops,
        runs=[row.run for row in rows],
        parameters=[row.non_embedding_parameters for row in rows],
        symbols=[row.symbols for row in rows],
        bpb=np.exp(parabola.ln_bpb_R).tolist(),
        bpb_se=[row.bpb_se or 0.0 for row in rows],
        optimum_parameters=UNKNOWN,
        optimum_symbols=UNKNOWN,
        optimum_bpb=UNKNOWN,
        curvature=UNKNOWN,
        bracketed=bracketed,
        learns_context=learns_context,
        in_frontier=bracketed and learns_context,
        note="; ".join(filter(None, notes)),
        curve=[],
    )


def _mean_flops(parabola: Parabola) -> float:
    return float(np.mean([row.flops for row in parabola.rows]))
