"""How much log loss differs between equal runs: residuals about IsoFLOP curves, split into their sources.

    residual = cell effect of the seed + run's own noise + evaluation error

Runs of a cell that share a seed share its effect, which moves their whole curve and so leaves no residual within a
seed; it is found from cells with several seeds, by the analysis of variance for unequal numbers of runs (Henderson
1953, method 3). Groups of arms (an objective with a permutation) have their own noise; groups of one pool share it
where Bartlett's test does not find their variances to differ.

Suffixes: R = runs of an arm, B = draws, G = (cell, seed) pairs, P = coefficients of the curves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bytegap.scaling.chi_square import bartlett
from bytegap.scaling.curves import ROUNDING, Indices, IsoflopCurves
from bytegap.scaling.laws import Array

LEVEL = 0.05
"""Groups are pooled where Bartlett's p-value is at least this."""
LEAST_SEED_DOF = 4
"""Fewer pairs of seeds do not show the size of their effect."""
ASSUMED_SEED_EFFECT = 0.6
"""Seed effect over the noise of a run where the runs do not show it: the larger of the two ratios in the laptop
study of 26 November 2026, 0.56 under AR and 0.27 under MDM, rounded up."""
BISECTIONS = 50

Source = Literal["none", "estimated", "assumed"]


@dataclass(frozen=True)
class Residuals:
    """Residuals of one arm, split into those within seeds and the sum of squares between seeds."""

    within_R: Array
    """With each (cell, seed) pair's own shift removed where a cell has several seeds."""
    evaluation_R: Array
    """Standard error of each run's evaluation, in ln L."""
    dof: int
    """Of `within_R`."""
    between: float
    between_dof: int
    between_weight: float
    """`between` is expected to be between_dof x variance of a run + between_weight x variance of the seed effect."""
    shares_seed: bool
    """Whether any runs of one cell share a seed."""

    @classmethod
    def of(cls, curves: IsoflopCurves, pair_R: Indices, evaluation_R: Array) -> "Residuals":
        """Split the residuals of curves; `pair_R` numbers the (cell, seed) pair of each run."""
        pairs, count_G = np.unique(pair_R, return_counts=True)
        shared_RG = (pair_R[:, None] == pairs[count_G > 1]).astype(np.float64)
        beyond_RG = shared_RG - curves.design_RP @ (curves.solve_PR @ shared_RG)
        residual_R = curves.residual_R
        left, singular, _ = np.linalg.svd(beyond_RG, full_matrices=False)
        basis = left[:, singular > 1e-9]
        along = basis.T @ residual_R
        dof = basis.shape[1]
        return cls(
            within_R=residual_R - basis @ along,
            evaluation_R=evaluation_R,
            dof=curves.dof - dof,
            between=float(along @ along),
            between_dof=dof,
            between_weight=float((beyond_RG**2).sum()),
            shares_seed=bool((count_G > 1).any()),
        )


@dataclass(frozen=True)
class Noise:
    """Noise of ln L, common to all runs of one or several groups."""

    groups: tuple[str, ...]
    """The groups pooled."""
    residual_sd: float
    """Of residuals within seeds, evaluation error included."""
    dof: int
    between_run_sd: float
    """Without evaluation error."""
    factor_B: Array
    """Draws of a factor on `between_run_sd`, for the uncertainty of its estimate."""
    seed_effect_sd: float
    """Of the shift that runs of a cell share with a seed."""
    seed_effect_B: Array
    """Draws of it."""
    seed_effect_source: Source

    def draw(self, pair_R: Indices, evaluation_R: Array, passes_R: Indices, rng: np.random.Generator) -> Array:
        """Draws of noise, (B, R): of each run, of its evaluation, and of its (cell, seed) pair if that has more runs.

        An evaluation error estimated from p passes has Student's t distribution with p - 1 degrees of freedom.
        """
        draws = len(self.factor_B)
        noise_BR = rng.standard_normal((draws, len(pair_R))) * self.between_run_sd * self.factor_B[:, None]
        estimated_R = evaluation_R > 0
        if estimated_R.any():
            dof_R = np.maximum(passes_R[estimated_R] - 1, 1)
            noise_BR[:, estimated_R] += rng.standard_t(dof_R, (draws, len(dof_R))) * evaluation_R[estimated_R]
        pairs, index_R, count_G = np.unique(pair_R, return_inverse=True, return_counts=True)
        shift_BG = rng.standard_normal((draws, len(pairs))) * self.seed_effect_B[:, None] * (count_G > 1)
        return noise_BR + shift_BG[:, index_R]


def pooled_noise(
    residuals: Sequence[Residuals], groups: Sequence[tuple[str, str]], bootstraps: int, rng: np.random.Generator
) -> dict[tuple[str, str], Noise]:
    """The noise of each group (pool, part), from the residuals of each arm and its group.

    The parts of a pool share one noise where Bartlett's test allows it.
    """
    by_group: dict[tuple[str, str], list[Residuals]] = {}
    for own, group in sorted(zip(residuals, groups, strict=True), key=lambda each: each[1]):
        by_group.setdefault(group, []).append(own)
    noise: dict[tuple[str, str], Noise] = {}
    for pool in dict.fromkeys(pool for pool, _ in by_group):
        parts = [group for group in by_group if group[0] == pool]
        dofs = [sum(own.dof for own in by_group[group]) for group in parts]
        variances = [_variance(by_group[group]) for group in parts]
        together = [parts] if bartlett(variances, dofs) >= LEVEL else [[group] for group in parts]
        for members in together:
            pooled = [own for group in members for own in by_group[group]]
            found = _noise(tuple(part for _, part in members), pooled, bootstraps, rng)
            noise |= dict.fromkeys(members, found)
    return noise


def _variance(residuals: Sequence[Residuals]) -> float:
    """Mean square of residuals within seeds; 0 where rounding alone is left."""
    variance = sum(float(own.within_R @ own.within_R) for own in residuals) / sum(own.dof for own in residuals)
    return variance if variance > ROUNDING else 0.0


def _noise(groups: tuple[str, ...], residuals: Sequence[Residuals], bootstraps: int, rng: np.random.Generator) -> Noise:
    dof = sum(own.dof for own in residuals)
    variance = _variance(residuals)
    within = np.concatenate([own.within_R for own in residuals])
    evaluation = np.concatenate([own.evaluation_R for own in residuals])
    factor_B = np.sqrt(dof / rng.chisquare(dof, bootstraps))
    seed_effect_sd, seed_effect_B, source = _seed_effect(residuals, variance, factor_B, rng)
    return Noise(
        groups=groups,
        residual_sd=variance**0.5,
        dof=dof,
        between_run_sd=_between_run_sd(within, evaluation, dof),
        factor_B=factor_B,
        seed_effect_sd=seed_effect_sd,
        seed_effect_B=seed_effect_B,
        seed_effect_source=source,
    )


def _seed_effect(
    residuals: Sequence[Residuals], variance: float, factor_B: Array, rng: np.random.Generator
) -> tuple[float, Array, Source]:
    """(deviation of the seed effect, draws of it, how it is known).

    A draw divides both mean squares by chi-square variables over their degrees of freedom, and subtracts as the
    estimate does.
    """
    if not any(own.shares_seed for own in residuals):
        return 0.0, np.zeros(len(factor_B)), "none"
    dof = sum(own.between_dof for own in residuals)
    if dof < LEAST_SEED_DOF:
        assumed = ASSUMED_SEED_EFFECT * variance**0.5
        return assumed, assumed * factor_B, "assumed"
    between, weight = sum(own.between for own in residuals), sum(own.between_weight for own in residuals)
    estimate = max(0.0, (between - dof * variance) / weight) ** 0.5
    drawn_B = between * dof / rng.chisquare(dof, len(factor_B)) - dof * variance * factor_B**2
    return estimate, np.sqrt(np.maximum(0.0, drawn_B / weight)), "estimated"


def _between_run_sd(residual: Array, evaluation: Array, dof: int) -> float:
    """The s at which SUM residual^2 / (s^2 + evaluation^2) equals the degrees of freedom, by bisection.

    0 where evaluation errors alone explain the residuals; runs without an evaluation error keep it above 0 (Paule &
    Mandel 1982).
    """
    low, high = 0.0, float(residual @ residual) / dof
    for _ in range(BISECTIONS if high > 0 else 0):
        middle = (low + high) / 2
        too_small = float(np.sum(residual**2 / (middle + evaluation**2))) > dof
        low, high = (middle, high) if too_small else (low, middle)
    return high**0.5
