"""Many Chinchilla fits at once: damped Newton steps on Huber's loss of a log-sum-exp.

    f_r = ln(exp(e) + exp(a - p x_r) + exp(b - q y_r)),  minimise  sum_r w_r Huber(f_r - ln L_r)

Huber's delta is far below the noise, so the sum is close to one of absolute values: steep, kinked at
the scale of delta, flat along the valley in which E, A and alpha trade places. First-order methods
stop in that valley; the exact second derivative, its eigenvalues made positive, does not. Fits that
have converged leave the batch.

Suffixes: M = fits side by side, R = rows of the table, 5 = (e, a, p, b, q), 6 = 1, x, x^2, y, y^2, xy.
"""

from dataclasses import dataclass

import numpy as np

from bytegap.laws import Array

HUBER = 1e-3
"""delta of Hoffmann et al. 2022 (arXiv 2203.15556, section 3.3)."""
STEPS = 400
CLOSE = 1e-12
"""A fit has converged where a Newton step would lower its objective by less than this share of it."""
BLOCK = 1 << 14
"""Rows x fits worked on together: a dozen arrays of this size stay in a core's cache."""


@dataclass(frozen=True)
class Rows:
    """What is fitted: x and y are ln N and ln D about their means in units of their deviations."""

    x_R: Array
    y_R: Array
    ln_loss_R: Array

    @property
    def basis_R6(self) -> Array:
        """Every product of x and y that derivatives need."""
        x_R, y_R = self.x_R, self.y_R
        return np.stack([np.ones_like(x_R), x_R, x_R**2, y_R, y_R**2, x_R * y_R], axis=1)


@dataclass
class _Here:
    """Objective, gradient and Hessian at the fits' parameters."""

    value_M: Array
    gradient_M5: Array
    hessian_M55: Array


def residuals(rows: Rows, theta_M5: Array) -> Array:
    """What each law leaves of each row, f_r - ln L_r, shape (M, R)."""
    e_M1, a_M1, p_M1, b_M1, q_M1 = theta_M5.T[:, :, None]
    by_size_MR, by_data_MR = a_M1 - p_M1 * rows.x_R, b_M1 - q_M1 * rows.y_R
    return np.logaddexp(np.logaddexp(by_size_MR, by_data_MR), e_M1) - rows.ln_loss_R


def objective(rows: Rows, theta_M5: Array) -> Array:
    """The sum of Huber's loss over the rows, shape (M,)."""
    residual_MR = residuals(rows, theta_M5)
    clipped_MR = np.clip(residual_MR, -HUBER, HUBER)
    return (clipped_MR * (residual_MR - 0.5 * clipped_MR)).sum(axis=1)


def minimise(rows: Rows, theta_M5: Array, weight_MR: Array) -> tuple[Array, Array]:
    """(parameters (M, 5), objective (M,)) of the minimum downhill of each start; `weight_MR` counts rows."""
    theta_M5 = theta_M5.copy()
    here = _evaluate(rows, theta_M5, weight_MR)
    value_M = here.value_M.copy()
    damping_M = np.full(len(theta_M5), 1e-3)
    left = np.arange(len(theta_M5))
    weight_MR = np.ascontiguousarray(weight_MR)
    for _ in range(STEPS):
        # Newton's step along each eigenvector, downhill whatever the sign of its curvature.
        eigenvalue_M5, vector_M55 = np.linalg.eigh(here.hessian_M55)
        size_M5 = np.abs(eigenvalue_M5)
        unit_M1 = size_M5.max(axis=1, keepdims=True) + 1e-300
        along_M5 = np.einsum("mji,mj->mi", vector_M55, here.gradient_M5)
        gain_M = (along_M5**2 / (size_M5 + 1e-13 * unit_M1)).sum(axis=1)
        done_M = (gain_M <= CLOSE * value_M[left] + 1e-24) | (damping_M[left] > 1e8)
        if done_M.any():
            go = ~done_M
            left = left[go]
            if not len(left):
                break
            here = _Here(here.value_M[go], here.gradient_M5[go], here.hessian_M55[go])
            weight_MR, size_M5, unit_M1 = weight_MR[go], size_M5[go], unit_M1[go]
            along_M5, vector_M55 = along_M5[go], vector_M55[go]
        step_M5 = -np.einsum("mij,mj->mi", vector_M55, along_M5 / (size_M5 + (1e-13 + damping_M[left, None]) * unit_M1))
        step_M5 /= np.maximum(1.0, np.abs(step_M5).max(axis=1, keepdims=True))
        foretold_M = -(here.gradient_M5 * step_M5).sum(axis=1)
        foretold_M -= 0.5 * np.einsum("mi,mij,mj->m", step_M5, here.hessian_M55, step_M5)
        there = _evaluate(rows, theta_M5[left] + step_M5, weight_MR)
        fell_M = here.value_M - there.value_M
        better_M = fell_M > 0
        ratio_M = fell_M / np.maximum(foretold_M, 1e-300)
        damping_M[left] *= np.where(ratio_M > 0.7, 0.2, np.where(better_M & (ratio_M > 0.2), 1.0, 5.0))
        damping_M[left] = np.maximum(damping_M[left], 1e-12)
        theta_M5[left[better_M]] += step_M5[better_M]
        value_M[left] = np.where(better_M, there.value_M, here.value_M)
        here = _Here(
            value_M[left],
            np.where(better_M[:, None], there.gradient_M5, here.gradient_M5),
            np.where(better_M[:, None, None], there.hessian_M55, here.hessian_M55),
        )
    return theta_M5, value_M


def _evaluate(rows: Rows, theta_M5: Array, weight_MR: Array) -> _Here:
    block = max(1, BLOCK // len(rows.x_R))
    basis_R6 = rows.basis_R6
    parts = [slice(start, start + block) for start in range(0, len(theta_M5), block)]
    heres = [_evaluate_block(rows, basis_R6, theta_M5[part], weight_MR[part]) for part in parts]
    return _Here(
        np.concatenate([here.value_M for here in heres]),
        np.concatenate([here.gradient_M5 for here in heres]),
        np.concatenate([here.hessian_M55 for here in heres]),
    )


def _evaluate_block(rows: Rows, basis_R6: Array, theta_M5: Array, weight_MR: Array) -> _Here:
    e_M1, a_M1, p_M1, b_M1, q_M1 = theta_M5.T[:, :, None]
    by_size_MR, by_data_MR = a_M1 - p_M1 * rows.x_R, b_M1 - q_M1 * rows.y_R
    top_MR = np.maximum(np.maximum(by_size_MR, by_data_MR), e_M1)
    terms_MR = [np.exp(each - top_MR) for each in (e_M1, by_size_MR, by_data_MR)]
    total_MR = terms_MR[0] + terms_MR[1] + terms_MR[2]
    residual_MR = np.log(total_MR) + top_MR - rows.ln_loss_R
    E_MR, A_MR, B_MR = (each / total_MR for each in terms_MR)  # d f / d e, d f / d a, d f / d b
    pull_MR = np.clip(residual_MR, -HUBER, HUBER)
    value_M = (weight_MR * pull_MR * (residual_MR - 0.5 * pull_MR)).sum(axis=1)
    bend_MR = weight_MR * ((np.abs(residual_MR) <= HUBER) - pull_MR)
    pull_MR *= weight_MR
    pull_E_MR, pull_A_MR, pull_B_MR = pull_MR * E_MR, pull_MR * A_MR, pull_MR * B_MR
    sum_A_M6, sum_B_M6 = pull_A_MR @ basis_R6, pull_B_MR @ basis_R6
    gradient = (pull_E_MR.sum(axis=1), sum_A_M6[:, 0], -sum_A_M6[:, 1], sum_B_M6[:, 0], -sum_B_M6[:, 3])
    bend_E_MR, bend_A_MR = bend_MR * E_MR, bend_MR * A_MR
    E_E_M = (bend_E_MR * E_MR + pull_E_MR).sum(axis=1)
    E_A_M6, E_B_M6 = (bend_E_MR * A_MR) @ basis_R6, (bend_E_MR * B_MR) @ basis_R6
    A_A_M6, A_B_M6 = (bend_A_MR * A_MR + pull_A_MR) @ basis_R6, (bend_A_MR * B_MR) @ basis_R6
    B_B_M6 = (bend_MR * B_MR * B_MR + pull_B_MR) @ basis_R6
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
    return _Here(value_M, np.stack(gradient, axis=1), hessian_M55)
