"""How much the seed changes the loss: standard deviation between seeds, with and without an effect common to all runs.

The model is log loss = setting + seed effect + noise: the seed effect is the same in all settings, as the batches drawn
from a seed are, and cancels where settings are compared.
P settings of a run, S seeds; NaN where a setting was not trained from a seed. No torch.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from bytegap.scaling.laws import Array

_PRIOR_SEEDS = 4
"""Weight, in seeds, of the noise pooled over settings in a setting's own, which few seeds estimate badly."""


@dataclass(frozen=True)
class SeedNoise:
    """Spread of log losses between seeds."""

    between_seed_sd: float
    """Standard deviation between seeds of one setting, pooled over settings."""
    within_setting_sd: float
    """The same after the seed effect is removed: the noise where settings are compared."""
    error_P: Array
    """Standard error of each setting's mean where it is compared with the others'."""


def loss_table(losses: Collection[Mapping[int, float]]) -> Array:
    """The losses of each setting by seed as an array (P, S), seeds ascending."""
    seeds = sorted({seed for by_seed in losses for seed in by_seed})
    return np.array([[by_seed.get(seed, nan) for seed in seeds] for by_seed in losses])


def setting_means(log_loss_PS: Array) -> Array:
    """Each setting's mean log loss over all S seeds: least squares of setting + seed effect.

    Where every setting has every seed these are the plain means; a setting that lacks a seed is compared with the
    others by the seeds that they share.
    """
    settings, seeds = log_loss_PS.shape
    setting_R, seed_R = np.nonzero(~np.isnan(log_loss_PS))  # R runs
    design = np.concatenate((np.eye(settings)[setting_R], np.eye(seeds)[seed_R]), 1)
    effects = np.linalg.lstsq(design, log_loss_PS[setting_R, seed_R], rcond=None)[0]
    return effects[:settings] + effects[settings:].mean()


def seed_noise(log_loss_PS: Array) -> SeedNoise | None:
    """The spread of log losses; None where no setting has two seeds."""
    seeds_P = (~np.isnan(log_loss_PS)).sum(1)
    dof = (seeds_P - 1).sum()
    if not dof:
        return None
    several_P = seeds_P > 1
    residual_PS = np.where(several_P[:, None], log_loss_PS - np.nanmean(log_loss_PS, 1, keepdims=True), nan)
    settings = several_P.sum()
    seed_effect_S = np.nansum(residual_PS, 0) / np.maximum(1, (~np.isnan(residual_PS)).sum(0)) if settings > 1 else 0.0
    # Subtracting a mean over n settings takes 1 / n of the variance with it.
    square_P = np.nansum((residual_PS - seed_effect_S) ** 2, 1) * settings / max(1, settings - 1)
    pooled = square_P.sum() / dof
    variance_P = (_PRIOR_SEEDS * pooled + square_P) / (_PRIOR_SEEDS + seeds_P - 1)
    return SeedNoise(sqrt(np.nansum(residual_PS**2) / dof), sqrt(pooled), np.sqrt(variance_P / seeds_P))
