"""Compute-optimal frontiers L(C) = E + A C^-g through the minima of IsoFLOP cells, and how well the minima fit them.

Given E the law is a line, ln(L - E) = ln A - g ln C, fitted in closed form with weights that make its residuals those
of ln L; E is 0, or found by profiling. Every bootstrap draw of the minima gets its own fit; but where the best E of the
minima is 0, so is that of the draws: the minima do not ask for an irreducible loss, and the form is the power law.

Where the minima lie further from the fitted law than the noise of runs explains, chi-square / dof above 1, the noise
of the draws is multiplied by its root: the form is wrong by about the residuals seen, and as much between them.

Suffixes: K = point estimate and draws, P = minima of a frontier, G = grid of irreducible losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from bytegap.scaling import laws
from bytegap.scaling.isoflop import RunDraws
from bytegap.scaling.laws import Array
from bytegap.scaling.regression import profile_irreducible_loss, weighted_line

LEAST_SD = 1e-9
"""Least deviation of a minimum: draws without noise have none."""


@dataclass(frozen=True, kw_only=True)
class FrontierPoints:
    """The minima that a frontier goes through, by rising compute."""

    name: str
    ln_flops_P: Array
    ln_bpb_KP: Array
    """Log of the loss, in BPB in a study, in the table's unit in `fit-table`; draws of everything."""
    ln_bpb_sd_P: Array
    """Standard deviation of the noise of runs."""
    ln_bpb_run_KP: Array | None = None
    """Draws of the noise of runs alone; None: those of everything are."""
    runs: tuple[RunDraws, ...] = ()
    """The runs of each minimum, for a law of (N, D); empty where they are not known."""

    @property
    def budgets(self) -> int:
        """Number of minima."""
        return len(self.ln_flops_P)

    @property
    def flops_observed(self) -> tuple[float, float]:
        """Least and most compute of the minima."""
        return float(np.exp(self.ln_flops_P[0])), float(np.exp(self.ln_flops_P[-1]))

    @property
    def bpb_observed(self) -> tuple[float, float]:
        """Lowest and highest minimum."""
        ln_bpb_P = self.ln_bpb_KP[0]
        return float(np.exp(ln_bpb_P.min())), float(np.exp(ln_bpb_P.max()))

    @property
    def document_shift_K(self) -> Array:
        """What draws of held-out documents change in ln of all minima on average, (K,); (1,) where there are none."""
        if self.ln_bpb_run_KP is None or not self.budgets:
            return np.zeros(1)
        return (self.ln_bpb_KP - self.ln_bpb_run_KP).mean(axis=1)

    @property
    def point(self) -> Self:
        """The point estimates, without draws."""
        return replace(self, ln_bpb_KP=self.ln_bpb_KP[:1], ln_bpb_run_KP=None)

    @property
    def without_largest(self) -> Self:
        """The point estimates of all budgets but the largest."""
        return replace(
            self.point,
            ln_flops_P=self.ln_flops_P[:-1],
            ln_bpb_KP=self.ln_bpb_KP[:1, :-1],
            ln_bpb_sd_P=self.ln_bpb_sd_P[:-1],
        )

    def with_noise_times(self, factor: float) -> Self:
        """The same minima with the noise of runs in their draws multiplied."""
        run_KP = self.ln_bpb_KP if self.ln_bpb_run_KP is None else self.ln_bpb_run_KP
        return replace(self, ln_bpb_KP=self.ln_bpb_KP + (factor - 1) * (run_KP - run_KP[:1]))


@dataclass(frozen=True)
class FrontierLaw:
    """L(C) = E + A C^-g, each a point estimate and its draws."""

    irreducible_loss_K: Array
    amplitude_K: Array
    exponent_K: Array
    lack_of_fit: float | None
    """Chi-square / dof of the points about the law, in the noise of runs; None without degrees of freedom."""

    def ln_bpb(self, ln_flops_P: Array) -> Array:
        """Log of the loss by the point estimate."""
        constants = self.irreducible_loss_K[0], self.amplitude_K[0], self.exponent_K[0]
        return np.log(laws.frontier_bpb(np.exp(ln_flops_P), *map(float, constants)))


def fit_frontier_laws(arms: Sequence[FrontierPoints], *, fit_E: bool) -> list[FrontierLaw]:
    """One irreducible loss for all `arms` (0 unless `fit_E`) and one line per arm, errors scaled for lack of fit."""
    parameters = 3 if fit_E and len(arms) == 1 else 2  # an irreducible loss that is shared counts as known
    points = [arm.point for arm in arms]
    lack = [
        _lack_of_fit(arm, law, parameters)
        for arm, law in zip(points, _fit_laws(points, [None] * len(arms), fit_E=fit_E), strict=True)
    ]
    scaled = [arm.with_noise_times(max(1.0, each or 1.0) ** 0.5) for arm, each in zip(arms, lack, strict=True)]
    return _fit_laws(scaled, lack, fit_E=fit_E)


def holdout_errors(arms: Sequence[FrontierPoints], *, fit_E: bool) -> list[float]:
    """|error| of ln L at each arm's largest budget, in a fit of all arms without it."""
    shorter = [arm.without_largest for arm in arms]
    fitted = _fit_laws(shorter, [None] * len(arms), fit_E=fit_E)
    return [
        abs(float(law.ln_bpb(arm.ln_flops_P[-1:])[0] - arm.ln_bpb_KP[0, -1]))
        for arm, law in zip(arms, fitted, strict=True)
    ]


def chi_square(arm: FrontierPoints, law: FrontierLaw) -> tuple[float, float]:
    """(chi-square of the minima about the law in the noise of runs, largest |residual| of ln L)."""
    residual_P = arm.ln_bpb_KP[0] - law.ln_bpb(arm.ln_flops_P)
    z_P = residual_P / np.maximum(arm.ln_bpb_sd_P, LEAST_SD)
    return float(z_P @ z_P), float(np.abs(residual_P).max())


def _lack_of_fit(arm: FrontierPoints, law: FrontierLaw, parameters: int) -> float | None:
    dof = arm.budgets - parameters
    return chi_square(arm, law)[0] / dof if dof > 0 and arm.ln_bpb_sd_P.min() > LEAST_SD else None


def _fit_laws(arms: Sequence[FrontierPoints], lack: Sequence[float | None], *, fit_E: bool) -> list[FrontierLaw]:
    lowest_K = np.exp(np.min([arm.ln_bpb_KP.min(axis=1) for arm in arms], axis=0))
    E_K = _irreducible_loss(arms, lowest_K) if fit_E else np.zeros_like(lowest_K)
    lines = [_line(arm, E_K[:, None]) for arm in arms]
    return [
        FrontierLaw(E_K, np.exp(intercept_KG[:, 0]), exponent_KG[:, 0], each)
        for (intercept_KG, exponent_KG, _), each in zip(lines, lack, strict=True)
    ]


def _irreducible_loss(arms: Sequence[FrontierPoints], lowest_K: Array) -> Array:
    """E of the least weighted squares over all `arms`, below the lowest loss; 0 in every draw where the point's is."""
    found_K = profile_irreducible_loss(lambda E_KG: np.sum([_line(arm, E_KG)[2] for arm in arms], axis=0), lowest_K)
    return found_K if found_K[0] > 0 else np.zeros_like(found_K)


def _line(arm: FrontierPoints, E_KG: Array) -> tuple[Array, Array, Array]:
    """(ln A, g, chi-square of ln L), each (K, G), of ln(L - E) = ln A - g ln C at given E.

    An error of ln L is L / (L - E) times as large in ln(L - E); the weights of the line undo that, and divide by the
    minima's own variances. The chi-square is that of the law itself: as E nears the lowest loss, the weight of that
    minimum goes to 0 and its residual of ln(L - E) to infinity, so their product says nothing about its fit.
    """
    bpb_K1P = np.exp(arm.ln_bpb_KP)[:, None, :]
    reducible_KGP = bpb_K1P - E_KG[:, :, None]
    y_KGP = np.log(reducible_KGP)
    sd_P = np.maximum(arm.ln_bpb_sd_P, LEAST_SD)
    weight_KGP = (reducible_KGP / bpb_K1P / sd_P) ** 2
    intercept_KG, slope_KG = weighted_line(arm.ln_flops_P, y_KGP, weight_KGP)
    fitted_KGP = np.exp(intercept_KG[:, :, None] + slope_KG[:, :, None] * arm.ln_flops_P)
    residual_KGP = arm.ln_bpb_KP[:, None, :] - np.log(E_KG[:, :, None] + fitted_KGP)
    return intercept_KG, -slope_KG, ((residual_KGP / sd_P) ** 2).sum(axis=2)
