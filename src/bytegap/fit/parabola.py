"""One cell's arithmetic: a parabola through log BPB in x = ln N, Huber's estimate of it, its minimum.

Suffixes: R = runs of the cell, K = point estimate and draws, B = draws, 3 = coefficients of 1, x,
x^2.
"""

from collections.abc import Sequence

import numpy as np

from bytegap.laws import Array
from bytegap.records import RunRow

HUBER = 1.345
"""Residuals beyond this many deviations lose weight: 95 % efficient under normal noise (Huber 1981)."""


class Parabola:
    """log BPB = a + b x + c x^2 through the runs of a cell, x = ln N about the cell's mean."""

    def __init__(self, rows: Sequence[RunRow]) -> None:
        self.rows = sorted(rows, key=lambda row: (row.non_embedding_parameters, row.seed, row.run))
        bpb_R = np.array([row.bpb for row in self.rows], dtype=np.float64)
        ln_size_R = np.log([row.non_embedding_parameters for row in self.rows])
        self.sizes = len(set(ln_size_R.tolist()))
        self.freedom = len(self.rows) - 3
        self.ln_bpb_R = np.log(bpb_R)
        self.relative_se_R = np.array([row.bpb_se or 0.0 for row in self.rows]) / bpb_R
        self.centre = float(ln_size_R.mean())
        self.x_R = ln_size_R - self.centre
        self.design_R3 = np.vander(self.x_R, 3, increasing=True)
        self.solve_3R: Array = np.linalg.pinv(self.design_R3).astype(np.float64)
        self.coefficients_3: Array = self.solve_3R @ self.ln_bpb_R

    @property
    def residual_R(self) -> Array:
        """What the parabola leaves of log BPB."""
        return self.ln_bpb_R - self.design_R3 @ self.coefficients_3

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest x."""
        return float(self.x_R[0]), float(self.x_R[-1])

    def resist(self, scale: float) -> None:
        """Replace least squares by Huber's estimate, residuals measured in `scale`: fifty reweightings."""
        for _ in range(50):
            far_R = np.abs(self.residual_R) / (HUBER * scale)
            root_R = np.sqrt(1 / np.maximum(1.0, far_R))
            solve_3R = np.linalg.pinv(self.design_R3 * root_R[:, None]).astype(np.float64)
            self.coefficients_3 = solve_3R @ (self.ln_bpb_R * root_R)

    def draw(self, noise_BR: Array) -> Array:
        """Coefficients (K, 3): the point estimate, then its shift under each draw of the runs' noise."""
        point_3 = self.coefficients_3
        return np.vstack([point_3, point_3 + noise_BR @ self.solve_3R.T])

    def minimum(self, coefficients_K3: Array) -> tuple[Array, Array]:
        """(x_K, log BPB_K) where each parabola is lowest within the sizes tried: for every draw a number."""
        low, high = self.range
        a_K, b_K, c_K = coefficients_K3.T
        bends_K = c_K > 0
        vertex_K = np.clip(-b_K / np.where(bends_K, 2 * c_K, 1.0), low, high)
        falls_K = b_K + c_K * (low + high) < 0
        x_K = np.where(bends_K, vertex_K, np.where(falls_K, high, low))
        return x_K, a_K + b_K * x_K + c_K * x_K**2

    def symbols_at(self, x_K: Array) -> Array:
        """Training symbols D that a size costs at this budget: a parabola through the runs' (ln N, ln D)."""
        ln_symbols_R = np.log([row.symbols for row in self.rows])
        return np.exp(np.vander(x_K, 3, increasing=True) @ (self.solve_3R @ ln_symbols_R))

    def curve(self, points: int) -> list[tuple[float, float]]:
        """(N, BPB) along the parabola, across the sizes tried."""
        x = np.linspace(*self.range, points)
        bpb = np.exp(np.vander(x, 3, increasing=True) @ self.coefficients_3)
        return list(zip(np.exp(self.centre + x).tolist(), bpb.tolist(), strict=True))
