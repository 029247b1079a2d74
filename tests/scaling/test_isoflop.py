"""Minima of simulated arms: which curvatures are shared, and what sharing them buys."""

import numpy as np
import pytest

from bytegap.scaling.isoflop import ArmRuns, IsoflopFit, fit_minima

SIZES, CELLS, NOISE = 6, 3, 0.01
CELL = np.repeat(np.arange(CELLS), SIZES)
X = np.tile(np.linspace(-1.4, 1.4, SIZES), CELLS)
FLOPS = 1e10 * 4.0**CELL


def fit(curvature: tuple[float, float, float], seed: int, *, noise: float = NOISE) -> IsoflopFit:
    """Two arms of equal curves with minima in the middle of each grid."""
    rng = np.random.default_rng(seed)
    arms: list[ArmRuns] = []
    for _ in range(2):
        ln_loss = 1 - 0.1 * CELL + np.array(curvature)[CELL] * X**2 + noise * rng.standard_normal(len(X))
        parameters = np.exp(9 + CELL + X)
        arms.append(
            ArmRuns(
                cell_R=CELL,
                parameters_R=parameters,
                tokens_R=FLOPS / parameters / 6,
                flops_R=FLOPS,
                loss_R=np.exp(ln_loss),
                loss_se_R=np.zeros(len(X)),
                passes_R=np.ones(len(X), dtype=np.int64),
                seed_R=np.full(len(X), -1),
            )
        )
    return fit_minima(arms, [("ar", "identity")] * 2, 200, rng)


def curvatures(found: IsoflopFit) -> list[float]:
    """c of ln L in each cell of the first arm."""
    return [(minimum.curvature.value or 0.0) / minimum.lowest_loss for minimum in found.minima[0]]


def shared(found: IsoflopFit) -> bool:
    """Whether one c, with a skew, describes all cells: their second differences about each grid's middle are equal."""
    second: list[float] = []
    for minimum in found.minima[0]:
        ln_loss = np.log([loss for _, loss in minimum.curve])
        middle = len(ln_loss) // 2
        second.append(ln_loss[middle - 1] - 2 * ln_loss[middle] + ln_loss[middle + 1])
    return np.ptp(second) < 1e-9


def test_equal_curvatures_are_shared_at_the_level_of_the_test() -> None:
    found = [shared(fit((0.03, 0.03, 0.03), seed)) for seed in range(60)]
    assert 0.85 <= np.mean(found) <= 1.0  # 0.95 less three standard errors


def test_curvatures_that_differ_are_each_cells_own() -> None:
    found = fit((0.09, 0.01, 0.06), 0, noise=0.002)
    assert curvatures(found) == pytest.approx([0.09, 0.01, 0.06], abs=0.004)


def test_curvatures_that_fall_with_compute_are_a_line() -> None:
    values = np.array([curvatures(fit((0.07, 0.05, 0.03), seed, noise=0.003)) for seed in range(20)])
    assert values.mean(axis=0) == pytest.approx([0.07, 0.05, 0.03], rel=0.05)
    # on a line but for the skew's part at each minimum; own curvatures would miss it by their noise, 0.0017 each
    assert np.abs(values[:, 0] - 2 * values[:, 1] + values[:, 2]).mean() < 0.002


def test_a_shared_curvature_brackets_minima_in_noise_where_own_ones_do_not() -> None:
    bracketed = [minimum.bracketed for seed in range(20) for minimum in fit((0.02,) * 3, seed).minima[0]]
    assert np.mean(bracketed) > 0.95


def test_runs_without_noise_are_fitted() -> None:
    found = fit((0.03, 0.03, 0.03), 0, noise=0.0)
    assert curvatures(found) == pytest.approx([0.03] * 3)
    assert [minimum.lowest_loss for minimum in found.minima[0]] == pytest.approx(np.exp([1.0, 0.9, 0.8]))
