"""One cell's arithmetic: a parabola through log loss in x = ln N, Huber's estimate of it, its minimum.

The loss is what the runs give: BPB for a study, whatever a table holds for `fit --table`.

Suffixes: R = runs of the cell, K = point estimate and draws, B = draws, 3 = coefficients of 1, x,
x^2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.laws import Array

HUBER = 1.345
"""Residuals beyond this many deviations lose weight: 95 % efficient under normal noise (Huber 1981)."""


@dataclass(frozen=True)
class Run:
    """What a cell needs of a run: its size N, data D, compute C, loss and the loss's own standard error."""

    parameters: float
    symbols: float
    flops: float
    loss: float
    loss_se: float


class Parabola:
    """ln loss = a + b x + c x^2 through the runs of a cell, x = ln N about the cell's mean."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = sorted(runs, key=lambda run: run.parameters)
        loss_R = np.array([run.loss for run in self.runs], dtype=np.float64)
        ln_size_R = np.log([run.parameters for run in self.runs])
        self.sizes = len(set(ln_size_R.tolist()))
        self.freedom = len(self.runs) - 3
        self.ln_loss_R = np.log(loss_R)
        self.relative_se_R = np.array([run.loss_se for run in self.runs]) / loss_R
        self.centre = float(ln_size_R.mean())
        self.x_R = ln_size_R - self.centre
        self.design_R3 = np.vander(self.x_R, 3, increasing=True)
        self.solve_3R: Array = np.linalg.pinv(self.design_R3).astype(np.float64)
        self.coefficients_3: Array = self.solve_3R @ self.ln_loss_R

    @property
    def flops(self) -> float:
        """Mean over the runs of what they cost, not the nominal budget."""
        return float(np.mean([run.flops for run in self.runs]))

    @property
    def residual_R(self) -> Array:
        """What the parabola leaves of log loss."""
        return self.ln_loss_R - self.design_R3 @ self.coefficients_3

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest x."""
        return float(self.x_R[0]), float(self.x_R[-1])

    def resist(self, scale: float) -> None:
        """Replace least squares by Huber's estimate, residuals measured in `scale`: fifty reweightings at most."""
        for _ in range(50):
            far_R = np.abs(self.residual_R) / (HUBER * scale)
            root_R = np.sqrt(1 / np.maximum(1.0, far_R))
            solve_3R = np.linalg.pinv(self.design_R3 * root_R[:, None]).astype(np.float64)
            before_3 = self.coefficients_3
            self.coefficients_3 = solve_3R @ (self.ln_loss_R * root_R)
            if np.allclose(before_3, self.coefficients_3, rtol=1e-12, atol=0):
                break

    def draw(self, noise_BR: Array) -> Array:
        """Coefficients (K, 3): the point estimate, then its shift under each draw of the runs' noise."""
        point_3 = self.coefficients_3
        return np.vstack([point_3, point_3 + noise_BR @ self.solve_3R.T])

    def minimum(self, coefficients_K3: Array) -> tuple[Array, Array]:
        """(x_K, log loss_K) where each parabola is lowest within the sizes tried: for every draw a number."""
        low, high = self.range
        a_K, b_K, c_K = coefficients_K3.T
        bends_K = c_K > 0
        vertex_K = np.clip(-b_K / np.where(bends_K, 2 * c_K, 1.0), low, high)
        falls_K = b_K + c_K * (low + high) < 0
        x_K = np.where(bends_K, vertex_K, np.where(falls_K, high, low))
        return x_K, a_K + b_K * x_K + c_K * x_K**2

    def ln_symbols_at(self, x_K: Array) -> Array:
        """Training symbols, ln D, that a size costs at this budget: a parabola through the runs' (ln N, ln D)."""
        ln_symbols_R = np.log([run.symbols for run in self.runs])
        return np.vander(x_K, 3, increasing=True) @ (self.solve_3R @ ln_symbols_R)

    def curve(self, points: int) -> list[tuple[float, float]]:
        """(N, loss) along the parabola, across the sizes tried."""
        x = np.linspace(*self.range, points)
        loss = np.exp(np.vander(x, 3, increasing=True) @ self.coefficients_3)
        return list(zip(np.exp(self.centre + x).tolist(), loss.tolist(), strict=True))
