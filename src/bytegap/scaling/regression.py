"""Weighted least squares for the frontier ln(L - E) = ln A - g ln C, and the irreducible loss E by profiling.

Suffixes: K = point estimate and draws, P = points of a frontier, G = grid of irreducible losses.
"""

from collections.abc import Callable

import numpy as np

from bytegap.scaling.laws import Array

GRID = 48
HIGHEST_IRREDUCIBLE_LOSS = 0.995
"""As a fraction of the lowest loss."""


def weighted_line(x_P: Array, y_KGP: Array, weight_KGP: Array) -> tuple[Array, Array]:
    """(intercept, slope) of y on x by weighted least squares, each (K, G)."""
    total_KG = weight_KGP.sum(axis=2)
    centre_KG = (weight_KGP * x_P).sum(axis=2) / total_KG
    mean_KG = (weight_KGP * y_KGP).sum(axis=2) / total_KG
    x_KGP = x_P - centre_KG[:, :, None]
    slope_KG = (weight_KGP * x_KGP * y_KGP).sum(axis=2) / (weight_KGP * x_KGP**2).sum(axis=2)
    return mean_KG - slope_KG * centre_KG, slope_KG


def profile_irreducible_loss(error: Callable[[Array], Array], lowest_K: Array, rounds: int = 2) -> Array:
    """E_K of the least `error`, a function from (K, G) values of E to (K, G) errors.

    `lowest_K` is the lowest loss of each draw, which E must stay below. Each round searches a grid between the
    neighbours of the previous round's best value; two rounds find E to within 1/1000 of the lowest loss.
    """
    low_K, high_K = np.zeros_like(lowest_K), HIGHEST_IRREDUCIBLE_LOSS * lowest_K
    best_K = low_K
    draw_K = np.arange(len(lowest_K))
    for _ in range(rounds):
        E_KG = np.linspace(low_K, high_K, GRID, axis=1)
        at_K = error(E_KG).argmin(axis=1)
        low_K, best_K = E_KG[draw_K, np.maximum(at_K - 1, 0)], E_KG[draw_K, at_K]
        high_K = E_KG[draw_K, np.minimum(at_K + 1, GRID - 1)]
    return best_K
