"""Minima of simulated arms: which curvatures are shared, and what sharing them buys."""

from collections.abc import Sequence
from statistics import mode

import numpy as np
import pytest

from bytegap.scaling.isoflop import ArmRuns, IsoflopFit, fit_minima

NOISE = 0.01


def arm(curvature: Sequence[float], seed: int, *, noise: float = NOISE, skew: float = 0.0, sizes: int = 6) -> ArmRuns:
    """Curves with minima in the middle of each grid, one for each curvature."""
    cells = len(curvature)
    cell = np.repeat(np.arange(cells), sizes)
    x = np.tile(np.linspace(-1.4, 1.4, sizes), cells)
    rng = np.random.default_rng(seed)
    ln_loss = 1 - 0.1 * cell + np.array(curvature)[cell] * x**2 + skew * x**3 + noise * rng.standard_normal(len(x))
    parameters, flops = np.exp(9 + cell + x), 1e10 * 4.0**cell
    return ArmRuns(
        cell_R=cell,
        parameters_R=parameters,
        tokens_R=flops / parameters / 6,
        flops_R=flops,
        loss_R=np.exp(ln_loss),
        loss_se_R=np.zeros(len(x)),
        passes_R=np.ones(len(x), dtype=np.int64),
        seed_R=np.full(len(x), -1),
    )


def fit_arms(arms: Sequence[ArmRuns]) -> IsoflopFit:
    """Arms of one group."""
    return fit_minima(arms, [("ar", "identity")] * len(arms), 200, np.random.default_rng(0))


def fit(curvature: Sequence[float], seed: int, *, arms: int = 2, **options: float) -> IsoflopFit:
    """Arms of equal curves."""
    return fit_arms([arm(curvature, 1000 * number + seed, **options) for number in range(arms)])


def curvatures(found: IsoflopFit) -> list[float]:
    """c of ln L in each cell of the first arm."""
    return [(minimum.curvature.value or 0.0) / minimum.lowest_loss for minimum in found.minima[0]]


def test_equal_curvatures_are_shared_at_the_level_of_the_test() -> None:
    """0.95 of 400 arms but for three standard errors."""
    found = [form for seed in range(200) for form in fit((0.03,) * 3, seed).curvature]
    assert found.count("shared") / 400 == pytest.approx(0.95, abs=0.033)


def test_equal_curvatures_of_few_runs_are_shared_at_the_level_of_the_test() -> None:
    """Of four degrees of freedom; choosing a skew first makes it reject 9 %, where a chi-square test rejects 20 %."""
    found = [form for seed in range(300) for form in fit((0.03, 0.03), seed, arms=1, sizes=5).curvature]
    assert found.count("shared") / 300 == pytest.approx(0.92, abs=0.05)
    assert found.count("own") == 300 - found.count("shared")


@pytest.mark.parametrize(("curvature", "form"), [((0.03,) * 3, "shared"), ((0.07, 0.05, 0.03), "linear")])
def test_the_form_is_stated_and_what_the_curves_have(curvature: tuple[float, ...], form: str) -> None:
    every = [fit(curvature, seed, noise=0.001) for seed in range(10)]
    assert mode(own for found in every for own in found.curvature) == form
    assert curvatures(every[0]) == pytest.approx(list(curvature), rel=0.1)


def test_forms_need_cells_to_differ_from_own_ones() -> None:
    assert fit((0.03,), 0).curvature == [None, None]
    assert fit((0.09, 0.01), 0, noise=0.001).curvature == ["own", "own"]
    assert fit((0.09, 0.01, 0.06), 0, noise=0.001).curvature == ["own", "own"]


def test_the_variance_of_a_whole_group_decides() -> None:
    """A quiet arm of unequal curvatures is not rejected among noisy ones, and is alone."""
    noisy = [arm((0.03,) * 3, seed, noise=0.05) for seed in range(3)]
    quiet = arm((0.035, 0.03, 0.025), 9, noise=0.0005)
    alone, among = fit_arms([quiet]), fit_arms([quiet, *noisy])
    assert alone.curvature == ["linear"]
    assert among.curvature[0] == "shared"


def test_a_skew_stays_with_shared_curvatures() -> None:
    found = fit((0.03,) * 3, 0, noise=0.001, skew=-0.008, sizes=8)
    assert found.curvature == ["shared", "shared"]
    assert [skew.value for skew in found.skew] == pytest.approx([-0.008] * 2, abs=0.001)


def test_cells_without_a_curve_have_no_part_in_the_basis() -> None:
    """The second of four cells has three sizes; curvatures are linear in ln C of the other three."""
    runs = arm((0.07, 0.9, 0.03, 0.01), 0, noise=0.0005)
    few = np.flatnonzero(runs.cell_R == 1)[3:]
    found = fit_arms([ArmRuns(**{name: np.delete(each, few) for name, each in vars(runs).items() if each is not None})])
    assert found.curvature == ["linear"]
    assert [minimum.bracketed for minimum in found.minima[0]] == [True, False, True, True]


@pytest.mark.parametrize("sizes", [5, 6])
@pytest.mark.parametrize("cells", [1, 2, 3, 4, 40])
def test_losses_without_noise_are_fitted(cells: int, sizes: int) -> None:
    """Also where all are equal, and extra sums of squares are rounding, of either sign."""
    for curvature in (0.0, 0.03):
        found = fit((curvature,) * cells, 0, noise=0.0, sizes=sizes)
        assert found.curvature == [None if cells == 1 else "shared"] * 2
        assert curvatures(found) == pytest.approx([curvature] * cells, abs=1e-9)


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
