"""IsoFLOP minima: for each cell of runs of about equal compute, the lowest loss over model size, with intervals.

Hoffmann et al. 2022 (arXiv 2203.15556, approach 2) fit a parabola to the loss in ln N. Here a curve (`curves.py`) is
fitted to the log of the loss, because seeds and evaluation change the loss by a fraction of itself: on the log scale
one noise level serves all cells, and cells of few runs can pool their residuals (`noise.py`).

Intervals are a parametric bootstrap in two kinds of draws: of the noise of runs, which differs between cells and
decides how far minima may lie from a frontier; and of everything, which adds what all cells share, the held-out
documents. The noise of each draw is multiplied by a factor from the distribution of the estimated deviation, so that
few degrees of freedom widen an interval as in Student's t distribution.

Suffixes: K = point estimate and draws, B = draws, R = runs of an arm, C = cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.scaling.bootstrap import UNKNOWN, quantity
from bytegap.scaling.curves import ROUNDING, Indices, IsoflopCurves, curvature_basis
from bytegap.scaling.f_test import f_survival
from bytegap.scaling.laws import Array
from bytegap.scaling.noise import Noise, Residuals, pooled_noise
from bytegap.scaling.window import LEAST_SIZES, near_minimum
from bytegap.schema.base import Quantity
from bytegap.schema.fit import CurvatureForm

NORMAL_OVER_MAD = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""
CURVE_POINTS = 41
LEAST_SKEW_CELLS = 2
"""A skew is shared by this many cells, or there is none."""
SKEW_DOF = 10
"""Degrees of freedom that an arm must have left to be given a skew in any case."""
MALLOWS = 2.0
"""With fewer it is given one where that takes this many variances of the noise off the sum of squares (Mallows's Cp,
which is Akaike's criterion for noise whose variance is known from the whole group)."""
CURVATURE_DEGREES: dict[CurvatureForm, int] = {"shared": 0, "linear": 1}
"""Degrees in ln C of the curvatures that an arm's cells may have besides their own."""
CURVATURE_LEVEL = 0.05
"""An arm has the first of these whose p-value is at least this."""

Group = tuple[str, str]
"""(pool, part): arms of one group share their noise; groups of one pool where a test allows it."""


@dataclass(frozen=True)
class ArmRuns:
    """Finished runs of one arm, each an element of every array."""

    cell_R: Indices
    """Number of its IsoFLOP cell, from 0."""
    parameters_R: Array
    tokens_R: Array
    flops_R: Array
    loss_R: Array
    loss_se_R: Array
    """Standard error of the loss's own evaluation; 0 where it is exact."""
    passes_R: Indices
    """Independent passes that `loss_se_R` was estimated from."""
    seed_R: Indices
    """Runs of a cell that share a seed share its effect; -1: a seed of its own."""
    document_shift_BR: Array | None = None
    """Change of ln L in each draw of held-out documents, `documents.py`; None where documents are not known."""


@dataclass(frozen=True)
class RunDraws:
    """The runs of one cell that its curve was fitted to, with draws."""

    ln_size_R: Array
    ln_flops_R: Array
    ln_loss_KR: Array
    """The point is the measured loss."""
    ln_loss_run_KR: Array
    """With the noise of runs alone."""


@dataclass(frozen=True)
class Minimum:
    """The lowest loss of a cell, with draws; the quantities are unknown where no curve was fitted."""

    flops: float
    """Mean compute of the runs, which may differ from the nominal budget."""
    lowest_loss: float
    """At the curve's minimum; of the best run where no curve was fitted."""
    ln_loss_K: Array
    """Empty where no curve was fitted."""
    ln_loss_run_K: Array
    """The same with draws of the noise of runs alone."""
    ln_size_K: Array
    """ln N of the optimum; empty where the optimum is not within the range of sizes."""
    ln_tokens_K: Array
    """ln D of the optimum; empty where `ln_size_K` is."""
    runs: RunDraws | None
    """None where no curve was fitted."""
    loss: Quantity
    parameters: Quantity
    tokens: Quantity
    curvature: Quantity
    """Half the second derivative of the loss in ln N at the optimum."""
    bracketed: bool
    """The optimum is within the range of sizes, and the curvature's interval is above 0."""
    note: str
    """Why it is not bracketed; else empty."""
    curve: tuple[tuple[float, float], ...]
    """(N, loss) along the curve."""


@dataclass(frozen=True)
class IsoflopFit:
    """Minima of several arms."""

    minima: list[list[Minimum]]
    """Of each arm, one for each of its cells."""
    curvature: list[CurvatureForm | None]
    """Of each arm, the form of c; None where fewer than two cells have a curve."""
    skew: list[Quantity]
    """Of each arm, d of ln L = a + b x + c x^2 + d x^3; unknown where none was fitted."""
    noise: dict[Group, Noise]


def fit_minima(
    arms: Sequence[ArmRuns], groups: Sequence[Group], bootstraps: int, rng: np.random.Generator
) -> IsoflopFit:
    """The minimum of each cell of each arm; `groups` has each arm's group of equal noise.

    Cells of fewer than `LEAST_SIZES` sizes get no curve.
    """
    fits = [_Fit(runs) for runs in arms]
    fitted = [(fit, group) for fit, group in zip(fits, groups, strict=True) if fit.cells]
    for group in dict.fromkeys(group for _, group in fitted):
        own = [fit for fit, other in fitted if other == group]
        _choose_skew(own)
        _choose_curvature(own)
        _reweight(own)
    residuals = [fit.residuals for fit, _ in fitted]
    noise = pooled_noise(residuals, [group for _, group in fitted], bootstraps, rng)
    minima: list[list[Minimum]] = []
    skew: list[Quantity] = []
    for fit, group in zip(fits, groups, strict=True):
        drawn, skew_K = fit.draw(noise[group], rng) if fit.cells else ({}, np.empty(0))
        minima.append([drawn.get(cell) or fit.unfitted(cell) for cell in range(fit.total_cells)])
        skew.append(quantity(skew_K) if len(skew_K) else UNKNOWN)
    return IsoflopFit(minima, [fit.curvature if len(fit.cells) > 1 else None for fit in fits], skew, noise)


def _choose_skew(fits: Sequence["_Fit"]) -> None:
    """Fit a skew to each arm of a group that can afford it, or shows it."""
    with_skew = [fit.curves_with_skew() for fit in fits]
    variance, dof = _variance([skewed or fit.curves for skewed, fit in zip(with_skew, fits, strict=True)])
    for fit, curves in zip(fits, with_skew, strict=True):
        if curves is None:
            continue
        gain = fit.curves.sum_of_squares - curves.sum_of_squares
        if curves.dof >= SKEW_DOF or (dof > 0 and gain > MALLOWS * variance):
            fit.curves = curves


def _choose_curvature(fits: Sequence["_Fit"]) -> None:
    """Give each arm of a group the fewest curvatures that an F test does not reject: shared, linear in ln C, or own.

    A cell of few sizes shows its own curvature poorly, and its minimum with it. The test is of the extra sum of squares
    about curves with own curvatures, against the variance of the whole group about such curves.
    """
    variance, dof = _variance([fit.curves for fit in fits])
    if dof < 1:
        return
    for fit in fits:
        own = fit.curves
        for form, degree in CURVATURE_DEGREES.items():
            if degree >= len(fit.cells) - 1:
                break
            fewer = fit.curves_of(form, skewed=own.skewed)
            extra = fewer.dof - own.dof
            ratio = (fewer.sum_of_squares - own.sum_of_squares) / extra / max(variance, ROUNDING)
            if f_survival(ratio, extra, dof) >= CURVATURE_LEVEL:
                fit.curves, fit.curvature = fewer, form
                break


def _variance(all_curves: Sequence[IsoflopCurves]) -> tuple[float, int]:
    """(mean square of the residuals of several arms, their degrees of freedom); 0 where there are none."""
    dof = sum(curves.dof for curves in all_curves)
    return (sum(curves.sum_of_squares for curves in all_curves) / dof if dof > 0 else 0.0), dof


def _reweight(fits: Sequence["_Fit"]) -> None:
    """Replace least squares by Huber's estimate at the scale of a group's residuals."""
    residual = np.concatenate([fit.curves.residual_R for fit in fits])
    dof = sum(fit.curves.dof for fit in fits)
    scale = NORMAL_OVER_MAD * float(np.median(np.abs(residual))) * (len(residual) / dof) ** 0.5
    if scale > 0:
        for fit in fits:
            fit.curves.reweight(scale)


class _Fit:
    """One arm: which of its runs are fitted, its curves, and their draws."""

    def __init__(self, runs: ArmRuns) -> None:
        self.runs = runs
        self.total_cells = int(runs.cell_R.max()) + 1
        self.ln_size_R, self.ln_loss_R = np.log(runs.parameters_R), np.log(runs.loss_R)
        used_R = np.zeros(len(runs.cell_R), dtype=np.bool_)
        self.cells: list[int] = []
        for cell in range(self.total_cells):
            own_R = np.flatnonzero(runs.cell_R == cell)
            if len(np.unique(self.ln_size_R[own_R])) >= LEAST_SIZES:
                used_R[own_R] = near_minimum(self.ln_size_R[own_R], self.ln_loss_R[own_R])
                self.cells.append(cell)
        self.used_R = np.flatnonzero(used_R)
        """Indices of the runs that are fitted."""
        self.curvature: CurvatureForm = "own"
        if self.cells:
            self.curves = self.curves_of("own", skewed=False)

    def curves_of(self, curvature: CurvatureForm, *, skewed: bool) -> IsoflopCurves:
        """The curves with curvatures of one form."""
        ln_flops_C = np.log([self._flops(cell) for cell in self.cells])
        degree = CURVATURE_DEGREES.get(curvature, len(self.cells))
        return IsoflopCurves(
            np.searchsorted(self.cells, self.runs.cell_R[self.used_R]),
            self.ln_size_R[self.used_R],
            self.ln_loss_R[self.used_R],
            curvature_basis(ln_flops_C, degree),
            skewed=skewed,
        )

    def curves_with_skew(self) -> IsoflopCurves | None:
        """The curves with a skew; None where too few cells would share it, or it would leave too few residuals.

        None as well where runs far from a minimum are left out: near it a parabola does, and the skews of cells whose
        windows differ are not one number.
        """
        left_out = len(self.used_R) < np.isin(self.runs.cell_R, self.cells).sum()
        if len(self.cells) < LEAST_SKEW_CELLS or left_out:
            return None
        curves = self.curves_of("own", skewed=True)
        return curves if curves.dof >= LEAST_SKEW_CELLS else None

    @property
    def _pair_R(self) -> Indices:
        """Number of the (cell, seed) pair of each run used; a run with a seed of its own is a pair alone."""
        seed_R = self.runs.seed_R[self.used_R]
        own_R = -1 - np.arange(len(seed_R))
        keys = np.stack([self.runs.cell_R[self.used_R], np.where(seed_R < 0, own_R, seed_R)], axis=1)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def _evaluation_R(self) -> Array:
        """Standard error of each evaluation, in ln L."""
        return self.runs.loss_se_R[self.used_R] / self.runs.loss_R[self.used_R]

    @property
    def residuals(self) -> Residuals:
        """Of the runs used."""
        return Residuals.of(self.curves, self._pair_R, self._evaluation_R)

    def draw(self, noise: Noise, rng: np.random.Generator) -> tuple[dict[int, Minimum], Array]:
        """(minimum of each fitted cell, draws of the skew: empty where none is fitted)."""
        run_BR = noise.draw(self._pair_R, self._evaluation_R, self.runs.passes_R[self.used_R], rng)
        shift_BR = self.runs.document_shift_BR
        all_BR = run_BR if shift_BR is None else run_BR + shift_BR[:, self.used_R]
        coefficients = self.curves.draw(all_BR)
        x_KC, ln_loss_KC = self.curves.minima(coefficients)
        run_KC = ln_loss_KC if shift_BR is None else self.curves.minima(self.curves.draw(run_BR))[1]
        curvature_KC = coefficients.curvature(x_KC[0]) * np.exp(ln_loss_KC)
        minima = {
            cell: self._minimum(
                index,
                x_KC[:, index],
                (ln_loss_KC[:, index], run_KC[:, index]),
                curvature_KC[:, index],
                (all_BR, run_BR),
            )
            for index, cell in enumerate(self.cells)
        }
        return minima, coefficients.d_K if self.curves.skewed else np.empty(0)

    def _minimum(
        self, index: int, x_K: Array, ln_loss: tuple[Array, Array], curvature_K: Array, noise: tuple[Array, Array]
    ) -> Minimum:
        """The minimum of one cell; `ln_loss` and `noise` with draws of everything, then of the noise of runs."""
        low, high = self.curves.low_C[index], self.curves.high_C[index]
        curvature = quantity(curvature_K)
        inside = bool(low < x_K[0] < high)
        curved = curvature.ci95 is not None and curvature.ci95[0] > 0
        if not inside:
            note = f"the lowest loss is at the {'largest' if x_K[0] >= high else 'smallest'} size tried"
        else:
            note = "" if curved else "the curvature's interval includes 0"
        cell = self.cells[index]
        ln_size_K = self.curves.centre_C[index] + x_K if inside else np.empty(0)
        ln_tokens_K = self._ln_tokens(cell, ln_size_K) if inside else np.empty(0)
        return Minimum(
            flops=self._flops(cell),
            lowest_loss=float(np.exp(ln_loss[0][0])),
            ln_loss_K=ln_loss[0],
            ln_loss_run_K=ln_loss[1],
            ln_size_K=ln_size_K,
            ln_tokens_K=ln_tokens_K,
            runs=self._run_draws(cell, *noise),
            loss=quantity(np.exp(ln_loss[0])),
            parameters=quantity(np.exp(ln_size_K)) if inside else UNKNOWN,
            tokens=quantity(np.exp(ln_tokens_K)) if inside else UNKNOWN,
            curvature=curvature,
            bracketed=inside and curved,
            note=note,
            curve=self.curves.plot_points(index, CURVE_POINTS),
        )

    def _run_draws(self, cell: int, all_BR: Array, run_BR: Array) -> RunDraws:
        at = np.flatnonzero(self.runs.cell_R[self.used_R] == cell)
        own_R = self.used_R[at]
        point_R = self.ln_loss_R[own_R]
        return RunDraws(
            self.ln_size_R[own_R],
            np.log(self.runs.flops_R[own_R]),
            np.vstack([point_R, point_R + all_BR[:, at]]),
            np.vstack([point_R, point_R + run_BR[:, at]]),
        )

    def _flops(self, cell: int) -> float:
        return float(self.runs.flops_R[self.runs.cell_R == cell].mean())

    def _ln_tokens(self, cell: int, ln_size_K: Array) -> Array:
        """Log of D of models of some sizes at a cell's budget: a parabola through its runs' (ln N, ln D)."""
        own_R = self.runs.cell_R == cell
        centre = float(self.ln_size_R[own_R].mean())
        line = np.polyfit(self.ln_size_R[own_R] - centre, np.log(self.runs.tokens_R[own_R]), 2)
        return np.polyval(line, ln_size_K - centre).astype(np.float64)

    def unfitted(self, cell: int) -> Minimum:
        """A cell of too few sizes."""
        own_R = self.runs.cell_R == cell
        sizes = len(np.unique(self.ln_size_R[own_R]))
        return Minimum(
            flops=self._flops(cell),
            lowest_loss=float(self.runs.loss_R[own_R].min()),
            ln_loss_K=np.empty(0),
            ln_loss_run_K=np.empty(0),
            ln_size_K=np.empty(0),
            ln_tokens_K=np.empty(0),
            runs=None,
            loss=UNKNOWN,
            parameters=UNKNOWN,
            tokens=UNKNOWN,
            curvature=UNKNOWN,
            bracketed=False,
            note=f"{sizes} sizes finished, a parabola needs {LEAST_SIZES}",
            curve=(),
        )
