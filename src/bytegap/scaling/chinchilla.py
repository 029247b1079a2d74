"""The Chinchilla law L(N, D) = E + A / N^alpha + B / D^beta of a table of runs, with intervals.

Hoffmann et al. 2022 (arXiv 2203.15556, eq. 3): the law minimises the sum over runs of Huber's loss, delta 1e-3, of the
residual of ln L. Minimising the mean with an optimizer's default tolerance stops before the minimum, which is how
Besiroglu et al. 2024 (arXiv 2404.10102) explain the published constants. Intervals resample runs, as theirs do.

The minimum is searched from many starts. The law is linear in E, A and B, so each pair of exponents of a grid gives
starts by least squares; the best of Hoffmann's 4500 starts are added.

Suffixes: K = point estimate and draws, S = starts, B = draws, R = runs, M and 5 as in `newton.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.scaling.laws import Array
from bytegap.scaling.newton import HUBER_DELTA, Design, minimise, objective, residuals

NEGLIGIBLE = 1e-6
"""An irreducible loss below this fraction of the lowest loss is reported as 0."""
EXPONENTS = (0.03, 0.08, 0.15, 0.22, 0.3, 0.4, 0.55, 0.8, 1.2, 2.0)
"""Starting values of alpha and of beta."""
IRREDUCIBLE_SHARES = (0.0, 0.6, 0.95)
"""Starting values of E, as shares of the lowest loss."""
BEST_STARTS = 200
"""How many of Hoffmann's starts are used."""


@dataclass(frozen=True)
class FittedLaw:
    """A fitted law; each constant is a point estimate and its draws."""

    E_K: Array
    A_K: Array
    B_K: Array
    alpha_K: Array
    beta_K: Array
    objective: float
    """Sum of Huber's loss at the point estimate."""
    residual_R: Array
    """ln L of the law less that of each run."""

    @property
    def size_exponent_K(self) -> Array:
        """Exponent a of N_opt ~ C^a, beta / (alpha + beta) (Hoffmann et al. 2022, eq. 4)."""
        return self.beta_K / (self.alpha_K + self.beta_K)

    @property
    def has_irreducible_loss(self) -> bool:
        """Whether the best E is above 0."""
        return bool(self.E_K[0] > 0)


def fit_law(
    parameters_R: Array, tokens_R: Array, loss_R: Array, bootstraps: int, rng: np.random.Generator
) -> FittedLaw:
    """Fit the law to runs of N, D and loss, then to `bootstraps` resamples of the runs.

    The point estimate has the lowest objective over all starts.
    """
    scaled = ScaledRuns(np.log(parameters_R), np.log(tokens_R), np.log(loss_R))
    theta_5, value = lowest_minimum(scaled, _starts(scaled))
    theta_K5 = theta_5[None, :]
    if bootstraps:
        counts_BR = rng.multinomial(len(loss_R), np.full(len(loss_R), 1 / len(loss_R)), size=bootstraps)
        theta_K5 = np.vstack([theta_K5, _resampled(scaled, theta_K5[0], counts_BR.astype(np.float64))])
    E_K, A_K, alpha_K, B_K, beta_K = scaled.constants(theta_K5)
    return FittedLaw(E_K, A_K, B_K, alpha_K, beta_K, value, residuals(scaled.design(), theta_K5[:1])[0])


def lowest_minimum(scaled: "ScaledRuns", starts_S5: Array, huber_delta: float = HUBER_DELTA) -> tuple[Array, float]:
    """(coordinates (5,), objective) of the lowest minimum from any start."""
    design = scaled.design(huber_delta)
    found_S5, value_S = minimise(design, starts_S5, np.ones((len(starts_S5), len(scaled.ln_size_R))))
    best = int(value_S.argmin())
    return found_S5[best], float(value_S[best])


def starts_by_least_squares(scaled: "ScaledRuns", exponents: Sequence[float]) -> Array:
    """Starts (S, 5): least squares at each pair of exponents and each irreducible loss."""
    grids = np.meshgrid(exponents, exponents, IRREDUCIBLE_SHARES)
    return _least_squares(scaled, *(grid.ravel() for grid in grids))


@dataclass(frozen=True)
class ScaledRuns:
    """The runs, and the change between constants of the law and the coordinates of `newton.py`.

    The optimizer works on ln N and ln D centred and divided by their deviations, where the amplitude and the exponent
    of a term are nearly uncorrelated.
    """

    ln_size_R: Array
    ln_data_R: Array
    ln_loss_R: Array
    """(R,), or (K, R) where each fit has losses of its own."""

    def design(self, huber_delta: float = HUBER_DELTA) -> Design:
        """The runs in those coordinates."""
        return Design(
            (self.ln_size_R - self.ln_size_R.mean()) / _deviation(self.ln_size_R),
            (self.ln_data_R - self.ln_data_R.mean()) / _deviation(self.ln_data_R),
            self.ln_loss_R,
            huber_delta,
        )

    def constants(self, theta_K5: Array) -> tuple[Array, Array, Array, Array, Array]:
        """(E, A, alpha, B, beta), each (K,)."""
        e_K, a_K, p_K, b_K, q_K = theta_K5.T
        alpha_K, beta_K = p_K / _deviation(self.ln_size_R), q_K / _deviation(self.ln_data_R)
        irreducible_K = np.exp(e_K)
        irreducible_K = np.where(irreducible_K < NEGLIGIBLE * np.exp(self.ln_loss_R.min()), 0.0, irreducible_K)
        with np.errstate(over="ignore"):
            A_K = np.exp(a_K + alpha_K * self.ln_size_R.mean())
            B_K = np.exp(b_K + beta_K * self.ln_data_R.mean())
        return irreducible_K, A_K, alpha_K, B_K, beta_K

    def theta(self, e_S: Array, a_S: Array, alpha_S: Array, b_S: Array, beta_S: Array) -> Array:
        """Coordinates (S, 5) from ln E, ln A, alpha, ln B and beta: the inverse of `constants`."""
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
    """Standard deviation; 1 where nothing varies."""
    deviation = float(ln_R.std())
    return deviation if deviation > 1e-9 else 1.0


def _starts(scaled: ScaledRuns) -> Array:
    """(S, 5): least squares at each pair of exponents and each E, and the best of Hoffmann's starts."""
    least_squares_S5 = starts_by_least_squares(scaled, EXPONENTS)
    # Hoffmann et al. 2022, section 3.3 and appendix D.3.
    exponents, logarithms, ln_E = np.arange(0, 2.1, 0.5), np.arange(0, 26, 5.0), np.arange(-1, 1.1, 0.5)
    grids = np.meshgrid(ln_E, logarithms, exponents, logarithms, exponents)
    hoffmann_S5 = scaled.theta(*(grid.ravel() for grid in grids))
    ascending = objective(scaled.design(), hoffmann_S5).argsort()
    return np.vstack([least_squares_S5, hoffmann_S5[ascending[:BEST_STARTS]]])


def _least_squares(scaled: ScaledRuns, alpha_S: Array, beta_S: Array, share_S: Array) -> Array:
    """Starts (S, 5) of given exponents, and of an E that is this share of the lowest loss.

    A and B minimise the squared relative error, and are kept above 0.
    """
    design = scaled.design()
    loss_R = np.exp(design.ln_loss_R)
    p_S, q_S = alpha_S * _deviation(scaled.ln_size_R), beta_S * _deviation(scaled.ln_data_R)
    u_SR, v_SR = np.exp(-p_S[:, None] * design.x_R) / loss_R, np.exp(-q_S[:, None] * design.y_R) / loss_R
    E_S = share_S * loss_R.min()
    y_SR = 1 - E_S[:, None] / loss_R
    uu_S, vv_S, uv_S = (u_SR**2).sum(axis=1), (v_SR**2).sum(axis=1), (u_SR * v_SR).sum(axis=1)
    uy_S, vy_S = (u_SR * y_SR).sum(axis=1), (v_SR * y_SR).sum(axis=1)
    determinant_S = uu_S * vv_S - uv_S**2 + 1e-12 * uu_S * vv_S
    least_S = 0.01 * y_SR.mean(axis=1) / np.sqrt(uu_S / len(loss_R))
    A_S = np.maximum((vv_S * uy_S - uv_S * vy_S) / determinant_S, least_S)
    least_S = 0.01 * y_SR.mean(axis=1) / np.sqrt(vv_S / len(loss_R))
    B_S = np.maximum((uu_S * vy_S - uv_S * uy_S) / determinant_S, least_S)
    e_S = np.log(np.maximum(E_S, 1e-3 * loss_R.min()))
    return np.stack([e_S, np.log(A_S), p_S, np.log(B_S), q_S], axis=1)


def _resampled(scaled: ScaledRuns, point_5: Array, counts_BR: Array) -> Array:
    """The minimum (B, 5) of each resample: the best from the point estimate and from exponents above and below it."""
    design = scaled.design()
    _, _, alpha, _, beta = (float(each[0]) for each in scaled.constants(point_5[None, :]))
    factor_S, share_S = np.array([0.6, 1.6]), np.array([0.5, 0.95])
    starts_S5 = np.vstack([point_5, _least_squares(scaled, factor_S * abs(alpha), factor_S * abs(beta), share_S)])
    found = [minimise(design, np.tile(start_5, (len(counts_BR), 1)), counts_BR) for start_5 in starts_S5]
    best_B = np.array([value_B for _, value_B in found]).argmin(axis=0)
    return np.array([theta_B5 for theta_B5, _ in found])[best_B, np.arange(len(counts_BR))]
