"""The frontier by Hoffmann et al. 2022's approach 3: the Chinchilla law of an arm's runs, fitted to every draw of them.

    L(N, D) = E + A / N^alpha + B / D^beta,  D = C / 6 N

D is the compute of a run over 6 N, not the tokens that it trained on, so that the frontier is a function of the FLOPs
that the study counts. Approach 3 fits the loss between the sizes by a law where approach 2 takes only each budget's
minimum; they err in different ways, so their difference shows how much an estimate depends on the form.

Suffixes: K = point estimate and draws, R = runs, 5 as in `newton.py`.
"""

from collections.abc import Sequence

import numpy as np

from bytegap.scaling import laws
from bytegap.scaling.chinchilla import ScaledRuns, lowest_minimum, starts_by_least_squares
from bytegap.scaling.curves import HUBER
from bytegap.scaling.frontier import FrontierLaw
from bytegap.scaling.isoflop import NORMAL_OVER_MAD, RunDraws
from bytegap.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN, Array
from bytegap.scaling.newton import HUBER_DELTA, minimise, residuals

LEAST_BUDGETS = 3
LEAST_RUNS = 8
PARAMETERS = 5
EXPONENTS = (0.1, 0.25, 0.5, 1.0)
"""Starting values of alpha and of beta."""
FIRST_DELTA = 0.01
"""Huber's delta of the first fit, which shows how large the residuals are: near least squares, it has few minima."""
DRAW_TOLERANCE = 1e-6
"""As `newton.TOLERANCE`, of a draw: far below its noise."""


def fit_parametric_law(cells: Sequence[RunDraws]) -> FrontierLaw | None:
    """The frontier of the Chinchilla law of these cells' runs; None where they are too few to determine it.

    Draws have the noise of runs times the root of chi-square / dof where that is above 1, as in `frontier.py`, and
    start from the point estimate.
    """
    if len(cells) < LEAST_BUDGETS or sum(len(cell.ln_size_R) for cell in cells) < LEAST_RUNS:
        return None
    ln_size_R = np.concatenate([cell.ln_size_R for cell in cells])
    ln_flops_R = np.concatenate([cell.ln_flops_R for cell in cells])
    ln_loss_KR = np.concatenate([cell.ln_loss_KR for cell in cells], axis=1)
    run_KR = np.concatenate([cell.ln_loss_run_KR for cell in cells], axis=1)
    ln_data_R = ln_flops_R - np.log(FLOPS_PER_PARAMETER_AND_TOKEN) - ln_size_R
    point = ScaledRuns(ln_size_R, ln_data_R, ln_loss_KR[0])
    theta_15, delta = _point_estimate(point)
    lack = _lack_of_fit(residuals(point.design(), theta_15)[0], run_KR)
    factor = max(1.0, lack or 1.0) ** 0.5
    draws = ScaledRuns(ln_size_R, ln_data_R, ln_loss_KR[1:] + (factor - 1) * (run_KR[1:] - run_KR[0]))
    start_B5 = np.repeat(theta_15, len(ln_loss_KR) - 1, axis=0)
    theta_B5, _ = minimise(draws.design(delta), start_B5, np.ones_like(ln_loss_KR[1:]), DRAW_TOLERANCE)
    E_K, A_K, alpha_K, B_K, beta_K = point.constants(np.vstack([theta_15, theta_B5]))
    with np.errstate(all="ignore"):
        frontier = laws.chinchilla_frontier(E_K, (A_K, B_K), (alpha_K, beta_K))
    irreducible_K, amplitude_K, exponent_K = (np.asarray(each, dtype=np.float64) for each in frontier)
    if not np.isfinite([irreducible_K[0], amplitude_K[0], exponent_K[0]]).all():
        return None
    return FrontierLaw(irreducible_K, amplitude_K, exponent_K, lack)


def _point_estimate(runs: ScaledRuns) -> tuple[Array, float]:
    """(coordinates (1, 5), Huber's delta): 1.345 robust deviations of the residuals of a first fit."""
    theta_5, _ = lowest_minimum(runs, starts_by_least_squares(runs, EXPONENTS), FIRST_DELTA)
    residual_R = residuals(runs.design(), theta_5[None, :])[0]
    share = len(residual_R) / (len(residual_R) - PARAMETERS)
    scale = NORMAL_OVER_MAD * float(np.median(np.abs(residual_R))) * share**0.5
    delta = max(HUBER * scale, HUBER_DELTA)
    theta_15, _ = minimise(runs.design(delta), theta_5[None, :], np.ones((1, len(residual_R))))
    return theta_15, delta


def _lack_of_fit(residual_R: Array, run_KR: Array) -> float | None:
    """Chi-square / dof of the runs in their own noise; None without draws or noise."""
    if len(run_KR) < 2 or not (sd_R := run_KR[1:].std(axis=0)).all():
        return None
    return float(((residual_R / sd_R) ** 2).sum()) / (len(residual_R) - PARAMETERS)
