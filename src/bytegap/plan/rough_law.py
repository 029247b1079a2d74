"""A rough law of one arm, from the few runs of a pilot and a prior: where its frontier and its best sizes lie.

    ln L(N, C) = ln(E + exp(r - g x)) + kappa (ln N - n - a x)^2,    x = ln C - ln C_ref

L in BPB, C training FLOPs, N non-embedding parameters.
The frontier is that of `scaling/laws.py`, the parabola that of an IsoFLOP cell.
It places budgets and sizes; no result of a study depends on it.

Suffixes: K = draws, the estimate first; R = runs; 6 = parameters (r, ln g, n, a, ln kappa, ln E / unigram).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bytegap.scaling.laws import Array

LEARNING_BPB = 0.3
"""Runs less than this below the unigram are left out: a law holds only once a model has begun to use context."""
_DRAWS = 128
_ITERATIONS = 60
_STEP = 1e-5
_OUTLIER = 2.0
"""Residuals beyond this many deviations are downweighted (Huber 1981): masked runs leave their unigram abruptly."""
_LACK_OF_FIT = 0.01
"""Standard deviation of ln L that this law cannot follow from cell to cell (assumption)."""
_PRIOR_DOF = 4.0
"""Weight, in runs, of the assumed noise against the residuals seen."""

_LEVEL_SD, _EXPONENT_SD, _SIZE_SD = 0.15, 0.25, 0.7
_SIZE_EXPONENT, _SIZE_EXPONENT_SD = 0.57, 0.1
_CURVATURE, _CURVATURE_SD = 0.025, 0.4
_IRREDUCIBLE_SHARE, _IRREDUCIBLE_SD = 0.2, 0.3


@dataclass(frozen=True)
class Prior:
    """What is assumed of an arm before it is run.

    From the minima of the studies `laptop`, `permutation` and `vocab-size` up to 26 November 2026: compute that
    lies within their budgets, loss there relative to the unigram, best size there, exponent g under E = 0.9 BPB.
    The exponent of the best size was 0.51 to 0.74 and the curvature kappa 0.013 to 0.046 in the cells used.
    """

    flops: float
    """C_ref."""
    share_of_unigram: float
    """L at C_ref over the unigram's BPB."""
    params: float
    """Best N at C_ref."""
    exponent: float
    """g."""
    noise: float
    """Standard deviation of ln L of a run about the parabola of its own cell (`noise_log_bpb` of the studies' fits)."""

    def mean_and_sd(self, unigram_bpb: float) -> tuple[Array, Array]:
        """(mean, standard deviation) of the six parameters, independent normal."""
        reducible = (self.share_of_unigram - _IRREDUCIBLE_SHARE) * unigram_bpb
        mean = [np.log(reducible), np.log(self.exponent), np.log(self.params), _SIZE_EXPONENT]
        mean += [np.log(_CURVATURE), np.log(_IRREDUCIBLE_SHARE)]
        sd = [_LEVEL_SD, _EXPONENT_SD, _SIZE_SD, _SIZE_EXPONENT_SD, _CURVATURE_SD, _IRREDUCIBLE_SD]
        return np.array(mean), np.array(sd)


def prior_of(*, is_bytes: bool, is_exact: bool) -> Prior:
    """The prior of an arm by its tokenizer, bytes or not, and its likelihood, exact or a bound."""
    if is_exact:
        return Prior(1e11, 0.60 if is_bytes else 0.72, 20e3 if is_bytes else 18e3, 0.12, 0.008)
    return Prior(1e12, 0.70 if is_bytes else 0.77, 28e3 if is_bytes else 20e3, 0.08, 0.016)


@dataclass(frozen=True)
class Points:
    """Runs of one arm."""

    flops_R: Array
    params_R: Array
    bpb_R: Array


@dataclass(frozen=True)
class RoughLaw:
    """Draws of the law of one arm; the first is the estimate."""

    reference_flops: float
    """C_ref."""
    unigram_bpb: float
    parameters_K6: Array
    noise: float
    """Standard deviation of ln L of a run about the parabola of its cell."""

    @property
    def irreducible_loss_K(self) -> Array:
        """E, in BPB."""
        return self.unigram_bpb * np.exp(self.parameters_K6[:, 5])

    @property
    def exponent_K(self) -> Array:
        """Of the frontier, g."""
        return np.exp(self.parameters_K6[:, 1])

    @property
    def curvature_K(self) -> Array:
        """kappa, of ln L in (ln N)^2."""
        return np.exp(self.parameters_K6[:, 4])

    def bpb(self, flops: Array) -> Array:
        """L of the best size at each compute, (K, ...)."""
        x = np.log(flops) - np.log(self.reference_flops)
        E_K, r_K, g_K = (
            _column(each, x) for each in (self.irreducible_loss_K, self.parameters_K6[:, 0], self.exponent_K)
        )
        return E_K + np.exp(r_K - g_K * x)

    def ln_params(self, flops: Array) -> Array:
        """Best size, ln N, at each compute, (K, ...)."""
        x = np.log(flops) - np.log(self.reference_flops)
        return _column(self.parameters_K6[:, 2], x) + _column(self.parameters_K6[:, 3], x) * x

    def ln_flops(self, bpb: Array | float) -> Array:
        """Compute, ln C, at a loss, one for all draws or one each, (K,); NaN at or below E."""
        reducible_K = np.asarray(bpb) - self.irreducible_loss_K
        with np.errstate(invalid="ignore", divide="ignore"):
            x_K = (self.parameters_K6[:, 0] - np.log(reducible_K)) / self.exponent_K
        return np.where(reducible_K > 0, x_K + np.log(self.reference_flops), np.nan)

    def draw(self, index: int) -> "RoughLaw":
        """The law of one draw alone."""
        return RoughLaw(self.reference_flops, self.unigram_bpb, self.parameters_K6[[index]], self.noise)

    def bpb_of(self, params: float, flops: float) -> float:
        """The estimate's L of one size at one compute, at most the unigram's."""
        curve = self.curvature_K[0] * (np.log(params) - self.ln_params(np.asarray(flops))[0]) ** 2
        return float(min(self.unigram_bpb, self.bpb(np.asarray(flops))[0] * np.exp(curve)))

    def flops(self, bpb: float) -> float:
        """The estimate's compute at which the frontier reaches a loss; NaN at or below E."""
        return float(np.exp(self.ln_flops(bpb)[0]))


def _column(values_K: Array, x: Array) -> Array:
    """Values by draw, shaped to broadcast against `x`."""
    return values_K.reshape(-1, *([1] * np.ndim(x)))


def fit_rough_law(points: Points, unigram_bpb: float, prior: Prior, seed: int = 0) -> RoughLaw:
    """The law of the largest posterior density, and draws of a normal approximation about it (Laplace).

    Penalised least squares of ln L by Levenberg-Marquardt, far residuals downweighted.
    Without a run that has begun to use context these are the prior and draws of it.
    """
    mean_6, sd_6 = prior.mean_and_sd(unigram_bpb)
    kept_R = points.bpb_R <= unigram_bpb - LEARNING_BPB
    x_R = np.log(points.flops_R[kept_R] / prior.flops)
    size_R, y_R = np.log(points.params_R[kept_R]), np.log(points.bpb_R[kept_R])

    def residuals(theta_6: Array) -> Array:
        r, ln_g, n, a, ln_kappa, ln_share = theta_6
        frontier_R = np.log(unigram_bpb * np.exp(ln_share) + np.exp(r - np.exp(ln_g) * x_R))
        model_R = frontier_R + np.exp(ln_kappa) * (size_R - n - a * x_R) ** 2
        return (y_R - model_R) / np.hypot(prior.noise, _LACK_OF_FIT)

    def weighted(theta_6: Array, root_R: Array) -> Array:
        return np.concatenate([root_R * residuals(theta_6), (theta_6 - mean_6) / sd_6])

    theta_6, damping = mean_6.copy(), 1e-2
    for _ in range(_ITERATIONS):
        root_R = np.sqrt(1 / np.maximum(1.0, np.abs(residuals(theta_6)) / _OUTLIER))
        jacobian, residual = _jacobian(lambda theta_6, root_R=root_R: weighted(theta_6, root_R), theta_6)
        normal = jacobian.T @ jacobian
        proposal_6 = theta_6 - np.linalg.solve(normal + damping * np.diag(np.diag(normal)), jacobian.T @ residual)
        better = np.sum(weighted(proposal_6, root_R) ** 2) < residual @ residual
        theta_6, damping = (proposal_6, damping / 3) if better else (theta_6, damping * 5)
    root_R = np.sqrt(1 / np.maximum(1.0, np.abs(residuals(theta_6)) / _OUTLIER))
    jacobian, _ = _jacobian(lambda theta_6: weighted(theta_6, root_R), theta_6)
    runs = len(y_R)
    lack = (np.sum((root_R * residuals(theta_6)) ** 2) + _PRIOR_DOF) / (runs + _PRIOR_DOF) if runs else 1.0
    jacobian[:runs] /= np.sqrt(max(1.0, lack))
    return _draws(theta_6, np.linalg.inv(jacobian.T @ jacobian).astype(np.float64), (unigram_bpb, prior), seed)


def _draws(theta_6: Array, covariance_66: Array, arm: tuple[float, Prior], seed: int) -> RoughLaw:
    """The law with draws of a normal distribution."""
    unigram_bpb, prior = arm
    noise_K6 = np.random.default_rng(seed).multivariate_normal(np.zeros(6), covariance_66, _DRAWS, method="cholesky")
    return RoughLaw(prior.flops, unigram_bpb, np.vstack([theta_6, theta_6 + noise_K6]), prior.noise)


def _jacobian(function: Callable[[Array], Array], theta_6: Array) -> tuple[Array, Array]:
    """(derivatives, value) of a vector function, by central differences."""
    steps_66 = _STEP * np.eye(len(theta_6))
    columns = [(function(theta_6 + step_6) - function(theta_6 - step_6)) / (2 * _STEP) for step_6 in steps_66]
    return np.stack(columns, axis=1), function(theta_6)
