"""The parabola of log loss in ln N through the runs of one IsoFLOP cell.

The loss has the unit of the runs: BPB in a study, the table's own unit in `bytegap fit-table`.

Suffixes: R = runs of the cell, K = point estimate and draws, B = draws, 3 = coefficients of 1, x, x^2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.scaling.laws import Array

HUBER = 1.345
"""Residuals beyond this many deviations are downweighted: 95 % efficient under normal noise (Huber 1981)."""
REWEIGHTINGS = 50


@dataclass(frozen=True)
class RunPoint:
    """One run of an IsoFLOP cell."""

    parameters: float
    """N."""
    tokens: float
    """D."""
    flops: float
    """C."""
    loss: float
    loss_se: float
    """Standard error of the loss's own evaluation; 0 where it is exact."""


class Parabola:
    """ln loss = a + b x + c x^2 by least squares, where x is ln N less its mean over the runs."""

    def __init__(self, runs: Sequence[RunPoint]) -> None:
        self.runs = sorted(runs, key=lambda run: run.parameters)
        loss_R = np.array([run.loss for run in self.runs], dtype=np.float64)
        ln_size_R = np.log([run.parameters for run in self.runs])
        self.sizes = len(set(ln_size_R.tolist()))
        self.dof = len(self.runs) - 3
        self.ln_loss_R = np.log(loss_R)
        self.relative_se_R = np.array([run.loss_se for run in self.runs]) / loss_R
        self.centre = float(ln_size_R.mean())
        self.x_R = ln_size_R - self.centre
        self.design_R3 = np.vander(self.x_R, 3, increasing=True)
        self.solve_3R: Array = np.linalg.pinv(self.design_R3).astype(np.float64)
        self.coefficients_3: Array = self.solve_3R @ self.ln_loss_R

    @property
    def flops(self) -> float:
        """Mean compute of the runs, which may differ from the nominal budget."""
        return float(np.mean([run.flops for run in self.runs]))

    @property
    def residual_R(self) -> Array:
        """Residuals of log loss."""
        return self.ln_loss_R - self.design_R3 @ self.coefficients_3

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest x."""
        return float(self.x_R[0]), float(self.x_R[-1])

    def reweight(self, scale: float) -> None:
        """Replace the least-squares coefficients by Huber's estimate, for residuals of standard deviation `scale`.

        Iteratively reweighted least squares, at most `REWEIGHTINGS` times.
        """
        for _ in range(REWEIGHTINGS):
            far_R = np.abs(self.residual_R) / (HUBER * scale)
            root_R = np.sqrt(1 / np.maximum(1.0, far_R))
            solve_3R = np.linalg.pinv(self.design_R3 * root_R[:, None]).astype(np.float64)
            before_3 = self.coefficients_3
            self.coefficients_3 = solve_3R @ (self.ln_loss_R * root_R)
            if np.allclose(before_3, self.coefficients_3, rtol=1e-12, atol=0):
                break

    def draw(self, noise_BR: Array) -> Array:
        """Coefficients (K, 3): the point estimate, then the estimate with each draw of noise added to the runs."""
        point_3 = self.coefficients_3
        return np.vstack([point_3, point_3 + noise_BR @ self.solve_3R.T])

    def minimum(self, coefficients_K3: Array) -> tuple[Array, Array]:
        """(x_K, log loss_K) of each parabola's lowest point within the range of sizes, at an end if need be."""
        low, high = self.range
        a_K, b_K, c_K = coefficients_K3.T
        convex_K = c_K > 0
        vertex_K = np.clip(-b_K / np.where(convex_K, 2 * c_K, 1.0), low, high)
        lower_at_high_K = b_K + c_K * (low + high) < 0
        x_K = np.where(convex_K, vertex_K, np.where(lower_at_high_K, high, low))
        return x_K, a_K + b_K * x_K + c_K * x_K**2

    def ln_tokens_at(self, x_K: Array) -> Array:
        """Training tokens, ln D, of a model of size x at this budget: a parabola through the runs' (ln N, ln D)."""
        ln_tokens_R = np.log([run.tokens for run in self.runs])
        return np.vander(x_K, 3, increasing=True) @ (self.solve_3R @ ln_tokens_R)

    def curve(self, points: int) -> tuple[tuple[float, float], ...]:
        """(N, loss) at `points` sizes along the parabola, over the range of sizes."""
        x = np.linspace(*self.range, points)
        loss = np.exp(np.vander(x, 3, increasing=True) @ self.coefficients_3)
        return tuple(zip(np.exp(self.centre + x).tolist(), loss.tolist(), strict=True))
