"""Many Chinchilla fits at once: damped Newton steps on Huber's loss of a log-sum-exp.

    f_r = ln(exp(e) + exp(a - p x_r) + exp(b - q y_r)),  minimise  sum_r w_r Huber(f_r - ln L_r)

Hoffmann's delta is far below the noise, so the objective is close to a sum of absolute values: steep, kinked at the
scale of delta, and almost flat along the direction in which E, A and alpha compensate each other. First-order methods
stop along that direction; Newton steps with the exact Hessian, its eigenvalues made positive, do not. Fits that have
converged leave the batch. `scipy.optimize` fits one law at a time; here 4,000 bootstrap fits of 240 runs take 4 s of
CPU (bench/fit.py).

Suffixes: M = fits at the same time, R = runs, 5 = (e, a, p, b, q), 6 = 1, x, x^2, y, y^2, xy.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bytegap.scaling.laws import Array

HUBER_DELTA = 1e-3
"""As in Hoffmann et al. 2022 (arXiv 2203.15556, section 3.3)."""
MAX_STEPS = 400
TOLERANCE = 1e-12
"""A fit has converged where a Newton step would lower its objective by less than this fraction of it."""
BLOCK = 1 << 14
"""Runs x fits evaluated at a time: a dozen arrays of this size fit into a core's cache."""


@dataclass(frozen=True)
class Design:
    """The runs: x and y are ln N and ln D, centred and divided by their deviations."""

    x_R: Array
    y_R: Array
    ln_loss_R: Array
    """(R,), or (M, R) where each fit has losses of its own."""
    huber_delta: float = HUBER_DELTA

    def of_fits(self, fits: slice | NDArray[np.bool_]) -> "Design":
        """The design of some of the fits."""
        return self if self.ln_loss_R.ndim == 1 else replace(self, ln_loss_R=self.ln_loss_R[fits])

    @property
    def basis_R6(self) -> Array:
        """The products of x and y in the derivatives."""
        x_R, y_R = self.x_R, self.y_R
        return np.stack([np.ones_like(x_R), x_R, x_R**2, y_R, y_R**2, x_R * y_R], axis=1)


@dataclass
class _Evaluation:
    """Objective, gradient and Hessian at the parameters of each fit."""

    value_M: Array
    gradient_M5: Array
    hessian_M55: Array


def residuals(design: Design, theta_M5: Array) -> Array:
    """f_r - ln L_r of each law and run, (M, R)."""
    e_M1, a_M1, p_M1, b_M1, q_M1 = theta_M5.T[:, :, None]
    by_size_MR, by_data_MR = a_M1 - p_M1 * design.x_R, b_M1 - q_M1 * design.y_R
    return np.logaddexp(np.logaddexp(by_size_MR, by_data_MR), e_M1) - design.ln_loss_R


def objective(design: Design, theta_M5: Array) -> Array:
    """Sum of Huber's loss over the runs, (M,)."""
    residual_MR = residuals(design, theta_M5)
    clipped_MR = np.clip(residual_MR, -design.huber_delta, design.huber_delta)
    return (clipped_MR * (residual_MR - 0.5 * clipped_MR)).sum(axis=1)


def minimise(design: Design, theta_M5: Array, weight_MR: Array, tolerance: float = TOLERANCE) -> tuple[Array, Array]:
    """(parameters (M, 5), objective (M,)) of the local minimum found from each start; `weight_MR` weighs the runs."""
    theta_M5 = theta_M5.copy()
    if not len(theta_M5):
        return theta_M5, np.empty(0)
    here = _evaluate(design, theta_M5, weight_MR)
    value_M = here.value_M.copy()
    damping_M = np.full(len(theta_M5), 1e-3)
    left = np.arange(len(theta_M5))
    weight_MR = np.ascontiguousarray(weight_MR)
    for _ in range(MAX_STEPS):
        # The Newton step along each eigenvector goes downhill whatever the sign of the curvature.
        eigenvalue_M5, vector_M55 = np.linalg.eigh(here.hessian_M55)
        size_M5 = np.abs(eigenvalue_M5)
        unit_M1 = size_M5.max(axis=1, keepdims=True) + 1e-300
        along_M5 = np.einsum("mji,mj->mi", vector_M55, here.gradient_M5)
        gain_M = (along_M5**2 / (size_M5 + 1e-13 * unit_M1)).sum(axis=1)
        done_M = (gain_M <= tolerance * value_M[left] + 1e-24) | (damping_M[left] > 1e8)
        if done_M.any():
            go = ~done_M
            left = left[go]
            if not len(left):
                break
            here = _Evaluation(here.value_M[go], here.gradient_M5[go], here.hessian_M55[go])
            design, weight_MR, size_M5, unit_M1 = design.of_fits(go), weight_MR[go], size_M5[go], unit_M1[go]
            along_M5, vector_M55 = along_M5[go], vector_M55[go]
        step_M5 = -np.einsum("mij,mj->mi", vector_M55, along_M5 / (size_M5 + (1e-13 + damping_M[left, None]) * unit_M1))
        step_M5 /= np.maximum(1.0, np.abs(step_M5).max(axis=1, keepdims=True))
        predicted_M = -(here.gradient_M5 * step_M5).sum(axis=1)
        predicted_M -= 0.5 * np.einsum("mi,mij,mj->m", step_M5, here.hessian_M55, step_M5)
        there = _evaluate(design, theta_M5[left] + step_M5, weight_MR)
        drop_M = here.value_M - there.value_M
        better_M = drop_M > 0
        ratio_M = drop_M / np.maximum(predicted_M, 1e-300)
        damping_M[left] *= np.where(ratio_M > 0.7, 0.2, np.where(better_M & (ratio_M > 0.2), 1.0, 5.0))
        damping_M[left] = np.maximum(damping_M[left], 1e-12)
        theta_M5[left[better_M]] += step_M5[better_M]
        value_M[left] = np.where(better_M, there.value_M, here.value_M)
        here = _Evaluation(
            value_M[left],
            np.where(better_M[:, None], there.gradient_M5, here.gradient_M5),
            np.where(better_M[:, None, None], there.hessian_M55, here.hessian_M55),
        )
    return theta_M5, value_M


def _evaluate(design: Design, theta_M5: Array, weight_MR: Array) -> _Evaluation:
    block = max(1, BLOCK // len(design.x_R))
    basis_R6 = design.basis_R6
    parts = [slice(start, start + block) for start in range(0, len(theta_M5), block)]
    evaluations = [_evaluate_block(design.of_fits(part), basis_R6, theta_M5[part], weight_MR[part]) for part in parts]
    return _Evaluation(
        np.concatenate([each.value_M for each in evaluations]),
        np.concatenate([each.gradient_M5 for each in evaluations]),
        np.concatenate([each.hessian_M55 for each in evaluations]),
    )


def _evaluate_block(design: Design, basis_R6: Array, theta_M5: Array, weight_MR: Array) -> _Evaluation:
    e_M1, a_M1, p_M1, b_M1, q_M1 = theta_M5.T[:, :, None]
    by_size_MR, by_data_MR = a_M1 - p_M1 * design.x_R, b_M1 - q_M1 * design.y_R
    top_MR = np.maximum(np.maximum(by_size_MR, by_data_MR), e_M1)
    terms_MR = [np.exp(each - top_MR) for each in (e_M1, by_size_MR, by_data_MR)]
    total_MR = terms_MR[0] + terms_MR[1] + terms_MR[2]
    residual_MR = np.log(total_MR) + top_MR - design.ln_loss_R
    E_MR, A_MR, B_MR = (each / total_MR for each in terms_MR)  # d f / d e, d f / d a, d f / d b
    slope_MR = np.clip(residual_MR, -design.huber_delta, design.huber_delta)
    value_M = (weight_MR * slope_MR * (residual_MR - 0.5 * slope_MR)).sum(axis=1)
    curvature_MR = weight_MR * ((np.abs(residual_MR) <= design.huber_delta) - slope_MR)
    slope_MR *= weight_MR
    slope_E_MR, slope_A_MR, slope_B_MR = slope_MR * E_MR, slope_MR * A_MR, slope_MR * B_MR
    sum_A_M6, sum_B_M6 = slope_A_MR @ basis_R6, slope_B_MR @ basis_R6
    gradient = (slope_E_MR.sum(axis=1), sum_A_M6[:, 0], -sum_A_M6[:, 1], sum_B_M6[:, 0], -sum_B_M6[:, 3])
    curvature_E_MR, curvature_A_MR = curvature_MR * E_MR, curvature_MR * A_MR
    E_E_M = (curvature_E_MR * E_MR + slope_E_MR).sum(axis=1)
    E_A_M6, E_B_M6 = (curvature_E_MR * A_MR) @ basis_R6, (curvature_E_MR * B_MR) @ basis_R6
    A_A_M6, A_B_M6 = (curvature_A_MR * A_MR + slope_A_MR) @ basis_R6, (curvature_A_MR * B_MR) @ basis_R6
    B_B_M6 = (curvature_MR * B_MR * B_MR + slope_B_MR) @ basis_R6
    upper = (  # of the symmetric Hessian, row by row
        (E_E_M, E_A_M6[:, 0], -E_A_M6[:, 1], E_B_M6[:, 0], -E_B_M6[:, 3]),
        (A_A_M6[:, 0], -A_A_M6[:, 1], A_B_M6[:, 0], -A_B_M6[:, 3]),
        (A_A_M6[:, 2], -A_B_M6[:, 1], A_B_M6[:, 5]),
        (B_B_M6[:, 0], -B_B_M6[:, 3]),
        (B_B_M6[:, 4],),
    )
    hessian_M55 = np.empty((len(theta_M5), 5, 5))
    for i, row in enumerate(upper):
        for j, entry_M in enumerate(row, start=i):
            hessian_M55[:, i, j] = hessian_M55[:, j, i] = entry_M
    return _Evaluation(value_M, np.stack(gradient, axis=1), hessian_M55)
