"""What seeds do to losses: how far they scatter, and how far once what a seed moves everywhere is taken out.

P places (settings of a run), S seeds; NaN where a place was not trained from a seed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from bytegap.laws import Array

_PRIOR = 4
"""Seeds' worth of all places' noise in each place's own, which few seeds tell badly."""


@dataclass(frozen=True)
class Spread:
    """Of log losses between seeds."""

    between: float
    """Standard deviation, pooled over places."""
    own: float
    """The same, less what a seed moves all places by: what is left of it where places are compared."""
    error_P: Array
    """Standard error of each place's mean among the others, by how far its own seeds agree."""


def table(loss: Collection[Mapping[int, float]]) -> Array:
    """(P, S) of each place's losses by seed."""
    seeds = sorted({seed for found in loss for seed in found})
    return np.array([[found.get(seed, nan) for seed in seeds] for found in loss])


def spread(log_loss_PS: Array) -> Spread | None:
    """None where no place has two seeds."""
    seeds_P = (~np.isnan(log_loss_PS)).sum(1)
    freedom = (seeds_P - 1).sum()
    if not freedom:
        return None
    several_P = seeds_P > 1
    away_PS = np.where(several_P[:, None], log_loss_PS - np.nanmean(log_loss_PS, 1, keepdims=True), nan)
    places = several_P.sum()
    moved_S = np.nansum(away_PS, 0) / np.maximum(1, (~np.isnan(away_PS)).sum(0)) if places > 1 else 0.0
    square_P = np.nansum((away_PS - moved_S) ** 2, 1) * places / max(1, places - 1)  # what the mean took with it
    own = square_P.sum() / freedom
    variance_P = (_PRIOR * own + square_P) / (_PRIOR + seeds_P - 1)
    return Spread(sqrt(np.nansum(away_PS**2) / freedom), sqrt(own), np.sqrt(variance_P / seeds_P))
