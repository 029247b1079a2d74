"""The Chinchilla law L(N, D) = E + A / N^alpha + B / D^beta of a table of runs, with intervals.

Hoffmann et al. 2022 (arXiv 2203.15556, eq. 3): least SUM over runs of Huber's loss, delta 1e-3, of
ln L. The mean in its place, under an optimiser's usual tolerance, ends before the minimum: that is
what Besiroglu et al. 2024 (arXiv 2404.10102) found in the published constants. Intervals resample
runs, as theirs do.

The minimum is looked for from every side: the law is linear in E, A and B, so each pair of exponents
of a grid gives starts by least squares; Hoffmann's 4500 starts stand beside them.

Suffixes: K = point estimate and draws, S = starts, and those of `newton.py`.
"""

from dataclasses import dataclass

import numpy as np

from bytegap.fit.newton import Rows, minimise, objective, residuals
from bytegap.laws import Array

PARAMETERS = 5
NO_FLOOR = 1e-6
"""A floor below this share of the lowest loss is none."""
EXPONENTS = (0.03, 0.08, 0.15, 0.22, 0.3, 0.4, 0.55, 0.8, 1.2, 2.0)
FLOORS = (0.0, 0.6, 0.95)
"""Of the lowest loss."""
BEST_STARTS = 200


@dataclass(frozen=True)
class FittedLaw:
    """A fitted law with its draws."""

    E_K: Array
    A_K: Array
    B_K: Array
    alpha_K: Array
    beta_K: Array
    objective: float
    residual_R: Array
    """Of ln L, law less run."""

    @property
    def size_exponent_K(self) -> Array:
        """Exponent a of N_opt, which rises as C^a: beta / (alpha + beta) (Hoffmann et al. 2022, eq. 4)."""
        return self.beta_K / (self.alpha_K + self.beta_K)

    @property
    def has_floor(self) -> bool:
        """False where the best floor is none."""
        return bool(self.E_K[0] > 0)


def fit_law(
    parameters_R: Array, symbols_R: Array, loss_R: Array, bootstraps: int, rng: np.random.Generator
) -> FittedLaw:
    """The law of least objective over all starts, then one from each of `bootstraps` resamples of the rows."""
    scaled = _Scaled(np.log(parameters_R), np.log(symbols_R), np.log(loss_R))
    rows = scaled.rows
    starts_S5 = _starts(scaled)
    found_S5, value_S = minimise(rows, starts_S5, np.ones((len(starts_S5), len(loss_R))))
    best = int(value_S.argmin())
    theta_K5 = found_S5[best : best + 1]
    if bootstraps:
        counts_BR = rng.multinomial(len(loss_R), np.full(len(loss_R), 1 / len(loss_R)), size=bootstraps)
        theta_K5 = np.vstack([theta_K5, _resampled(scaled, theta_K5[0], counts_BR.astype(np.float64))])
    E_K, A_K, alpha_K, B_K, beta_K = scaled.constants(theta_K5)
    return FittedLaw(E_K, A_K, B_K, alpha_K, beta_K, float(value_S[best]), residuals(rows, theta_K5[:1])[0])


@dataclass(frozen=True)
class _Scaled:
    """ln N and ln D about their means, in units of their deviations: there a and alpha do not trade places."""

    ln_size_R: Array
    ln_data_R: Array
    ln_loss_R: Array

    @property
    def rows(self) -> Rows:
        return Rows(
            (self.ln_size_R - self.ln_size_R.mean()) / _deviation(self.ln_size_R),
            (self.ln_data_R - self.ln_data_R.mean()) / _deviation(self.ln_data_R),
            self.ln_loss_R,
        )

    def constants(self, theta_K5: Array) -> tuple[Array, Array, Array, Array, Array]:
        """(E, A, alpha, B, beta), each (K,)."""
        e_K, a_K, p_K, b_K, q_K = theta_K5.T
        alpha_K, beta_K = p_K / _deviation(self.ln_size_R), q_K / _deviation(self.ln_data_R)
        floor_K = np.exp(e_K)
        floor_K = np.where(floor_K < NO_FLOOR * np.exp(self.ln_loss_R.min()), 0.0, floor_K)
        with np.errstate(over="ignore"):
            A_K = np.exp(a_K + alpha_K * self.ln_size_R.mean())
            B_K = np.exp(b_K + beta_K * self.ln_data_R.mean())
        return floor_K, A_K, alpha_K, B_K, beta_K

    def theta(self, e_S: Array, a_S: Array, alpha_S: Array, b_S: Array, beta_S: Array) -> Array:
        """The other way, from logarithms of E, A, B: (S, 5)."""
        return np.stack(
            [
                e_S,
                a_S - alpha_S * self.ln_size_R.mean(),
                alpha_S * _deviation(self.ln_size_R),
                b_S - beta_S * self.ln_data_R.mean(),
                beta_S * _deviation(self.ln_data_R),
            ],
            axis=1,
        )


def _deviation(ln_R: Array) -> float:
    """1 where nothing varies."""
    deviation = float(ln_R.std())
    return deviation if deviation > 1e-9 else 1.0


def _starts(scaled: _Scaled) -> Array:
    """(S, 5): least squares at each pair of exponents and floor, and the better of Hoffmann's starts."""
    alpha_S, beta_S, floor_S = (grid.ravel() for grid in np.meshgrid(EXPONENTS, EXPONENTS, FLOORS))
    by_squares_S5 = _by_squares(scaled, alpha_S, beta_S, floor_S)
    # Hoffmann et al. 2022, section 3.3 and appendix D.3.
    exponents, logarithms, floors = np.arange(0, 2.1, 0.5), np.arange(0, 26, 5.0), np.arange(-1, 1.1, 0.5)
    grids = np.meshgrid(floors, logarithms, exponents, logarithms, exponents)
    hoffmann_S5 = scaled.theta(*(grid.ravel() for grid in grids))
    order = objective(scaled.rows, hoffmann_S5).argsort()
    return np.vstack([by_squares_S5, hoffmann_S5[order[:BEST_STARTS]]])


def _by_squares(scaled: _Scaled, alpha_S: Array, beta_S: Array, floor_S: Array) -> Array:
    """Starts of given exponents and floor: A and B by least squares of relative error, kept above 0."""
    rows = scaled.rows
    loss_R = np.exp(rows.ln_loss_R)
    p_S, q_S = alpha_S * _deviation(scaled.ln_size_R), beta_S * _deviation(scaled.ln_data_R)
    u_SR, v_SR = np.exp(-p_S[:, None] * rows.x_R) / loss_R, np.exp(-q_S[:, None] * rows.y_R) / loss_R
    floor_S = floor_S * loss_R.min()
    y_SR = 1 - floor_S[:, None] / loss_R
    uu_S, vv_S, uv_S = (u_SR**2).sum(axis=1), (v_SR**2).sum(axis=1), (u_SR * v_SR).sum(axis=1)
    uy_S, vy_S = (u_SR * y_SR).sum(axis=1), (v_SR * y_SR).sum(axis=1)
    determinant_S = uu_S * vv_S - uv_S**2 + 1e-12 * uu_S * vv_S
    least_S = 0.01 * y_SR.mean(axis=1) / np.sqrt(uu_S / len(loss_R))
    A_S = np.maximum((vv_S * uy_S - uv_S * vy_S) / determinant_S, least_S)
    least_S = 0.01 * y_SR.mean(axis=1) / np.sqrt(vv_S / len(loss_R))
    B_S = np.maximum((uu_S * vy_S - uv_S * uy_S) / determinant_S, least_S)
    e_S = np.log(np.maximum(floor_S, 1e-3 * loss_R.min()))
    return np.stack([e_S, np.log(A_S), p_S, np.log(B_S), q_S], axis=1)


def _resampled(scaled: _Scaled, point_5: Array, counts_BR: Array) -> Array:
    """Each resample's own minimum (B, 5), the best from the point estimate and from laws to both sides of it."""
    rows = scaled.rows
    _, _, alpha, _, beta = (float(each[0]) for each in scaled.constants(point_5[None, :]))
    aside = np.array([0.6, 1.6])
    floor = np.array([0.5, 0.95])
    starts_S5 = np.vstack([point_5, _by_squares(scaled, aside * abs(alpha), aside * abs(beta), floor)])
    found = [minimise(rows, np.tile(start_5, (len(counts_BR), 1)), counts_BR) for start_5 in starts_S5]
    best_B = np.array([value_B for _, value_B in found]).argmin(axis=0)
    return np.array([theta_B5 for theta_B5, _ in found])[best_B, np.arange(len(counts_BR))]
