"""IsoFLOP curves: log loss as a polynomial of ln N, for all cells of an arm in one linear fit.

    ln L = a_c + b_c x + c_c x^2 + d x^3,    x = ln N less its mean over the runs of cell c

Hoffmann et al. 2022 (arXiv 2203.15556, approach 2) fit a parabola to each cell. Real curves are skewed: they rise less
steeply on one side of the minimum. The skew d is one number for an arm, shared by its budgets, since a cell of five
sizes cannot show its own. The curvature c is each cell's own, or a linear function of ln C, or shared: c = basis @ g,
with the basis given (`curvature_basis`).

The fit is linear, so a draw is the point estimate plus a matrix times the noise of the runs.

Suffixes: R = runs, C = cells, Q = coefficients of the curvature, P = coefficients of the joint fit, K = point estimate
and draws, B = draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bytegap.scaling.laws import Array

Indices = NDArray[np.int64]

HUBER = 1.345
"""Residuals beyond this many deviations are downweighted: 95 % efficient under normal noise (Huber 1981)."""
REWEIGHTINGS = 50
ROUNDING = 1e-20
"""Variances of ln L below this are rounding."""


def curvature_basis(ln_flops_C: Array, degree: int) -> Array:
    """(C, Q): powers of ln C up to `degree`, about their mean; as many as cells, or more, let each have its own."""
    if degree >= len(ln_flops_C) - 1:
        return np.eye(len(ln_flops_C))
    return np.vander(ln_flops_C - ln_flops_C.mean(), degree + 1, increasing=True).astype(np.float64)


class IsoflopCurves:
    """The curves of one arm, by least squares at first."""

    def __init__(
        self, cell_R: Indices, ln_size_R: Array, ln_loss_R: Array, curvature_CQ: Array, *, skewed: bool
    ) -> None:
        """`curvature_CQ` is the basis of the curvatures, (C, Q): the identity gives each cell its own."""
        self.cell_R, self.ln_size_R, self.ln_loss_R, self.skewed = cell_R, ln_size_R, ln_loss_R, skewed
        self.curvature_CQ = curvature_CQ
        self.cells = int(cell_R.max()) + 1
        members_CR = cell_R == np.arange(self.cells)[:, None]
        self.centre_C: Array = (members_CR * ln_size_R).sum(axis=1) / members_CR.sum(axis=1)
        self.x_R: Array = ln_size_R - self.centre_C[cell_R]
        self.low_C: Array = np.array([self.x_R[own_R].min() for own_R in members_CR])
        self.high_C: Array = np.array([self.x_R[own_R].max() for own_R in members_CR])
        columns = [
            members_CR.T,
            members_CR.T * self.x_R[:, None],
            curvature_CQ[cell_R] * self.x_R[:, None] ** 2,
            self.x_R[:, None] ** 3 if skewed else np.empty((len(cell_R), 0)),
        ]
        self.design_RP: Array = np.concatenate(columns, axis=1)
        self.solve_PR: Array = np.linalg.pinv(self.design_RP).astype(np.float64)
        self.coefficients_P: Array = self.solve_PR @ ln_loss_R

    @property
    def dof(self) -> int:
        """Runs less coefficients."""
        return self.design_RP.shape[0] - self.design_RP.shape[1]

    @property
    def residual_R(self) -> Array:
        """Residuals of log loss."""
        return self.ln_loss_R - self.design_RP @ self.coefficients_P

    @property
    def sum_of_squares(self) -> float:
        """Of the residuals."""
        return float(self.residual_R @ self.residual_R)

    def reweight(self, scale: float) -> None:
        """Replace the least-squares coefficients by Huber's estimate, for residuals of standard deviation `scale`.

        Iteratively reweighted least squares, at most `REWEIGHTINGS` times.
        """
        for _ in range(REWEIGHTINGS):
            far_R = np.abs(self.residual_R) / (HUBER * scale)
            root_R = np.sqrt(1 / np.maximum(1.0, far_R))
            solve_PR = np.linalg.pinv(self.design_RP * root_R[:, None]).astype(np.float64)
            before_P = self.coefficients_P
            self.coefficients_P = solve_PR @ (self.ln_loss_R * root_R)
            if np.allclose(before_P, self.coefficients_P, rtol=1e-12, atol=0):
                break

    def draw(self, noise_BR: Array) -> "Coefficients":
        """The point estimate, then the estimate with each draw of noise added to the runs."""
        return self._split(np.vstack([self.coefficients_P, self.coefficients_P + noise_BR @ self.solve_PR.T]))

    def _split(self, theta_KP: Array) -> "Coefficients":
        skew_K = theta_KP[:, -1] if self.skewed else np.zeros(len(theta_KP))
        curvature_KQ = theta_KP[:, 2 * self.cells : 2 * self.cells + self.curvature_CQ.shape[1]]
        return Coefficients(
            a_KC=theta_KP[:, : self.cells],
            b_KC=theta_KP[:, self.cells : 2 * self.cells],
            c_KC=curvature_KQ @ self.curvature_CQ.T,
            d_K=skew_K,
        )

    def minima(self, coefficients: "Coefficients") -> tuple[Array, Array]:
        """(x, log loss), each (K, C), of each curve's minimum within the range of sizes; else of the lower end."""
        x_KC = coefficients.minimum_KC
        inside_KC = (x_KC > self.low_C) & (x_KC < self.high_C)
        at_low_KC, at_high_KC = coefficients.ln_loss(self.low_C), coefficients.ln_loss(self.high_C)
        end_KC = np.where(at_low_KC <= at_high_KC, self.low_C, self.high_C)
        x_KC = np.where(inside_KC, x_KC, end_KC)
        return x_KC, coefficients.ln_loss(x_KC)

    def plot_points(self, cell: int, points: int) -> tuple[tuple[float, float], ...]:
        """(N, loss) at `points` sizes along one curve, over its range of sizes."""
        x: Array = np.linspace(float(self.low_C[cell]), float(self.high_C[cell]), points).astype(np.float64)
        at = self._split(self.coefficients_P[None])
        loss = np.exp(at.ln_loss(np.tile(x[:, None], self.cells))[:, cell])
        return tuple(zip(np.exp(self.centre_C[cell] + x).tolist(), loss.tolist(), strict=True))


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of all curves of an arm; `a`, `b` and `c` by cell."""

    a_KC: Array
    b_KC: Array
    c_KC: Array
    d_K: Array

    @property
    def minimum_KC(self) -> Array:
        """Where the minimum is, x = -b / (c + sqrt(c^2 - 3 b d)); NaN where the curve has none.

        The derivative b + 2 c x + 3 d x^2 has its rising root there, written so that it stays exact as d goes to 0.
        """
        discriminant_KC = self.c_KC**2 - 3 * self.b_KC * self.d_K[:, None]
        denominator_KC = self.c_KC + np.sqrt(np.maximum(discriminant_KC, 0.0))
        exists_KC = (discriminant_KC > 0) & (np.abs(denominator_KC) > 1e-12 * np.abs(self.c_KC))
        return np.where(exists_KC, -self.b_KC / np.where(exists_KC, denominator_KC, 1.0), np.nan)

    def ln_loss(self, x_C: Array) -> Array:
        """Log loss at x, which is (C,) or (K, C)."""
        return self.a_KC + x_C * (self.b_KC + x_C * (self.c_KC + x_C * self.d_K[:, None]))

    def curvature(self, x_C: Array) -> Array:
        """Half the second derivative of ln L at x, (K, C)."""
        return self.c_KC + 3 * self.d_K[:, None] * x_C
