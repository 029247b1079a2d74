"""Frontier forms: lack of fit scales the noise of runs and nothing else; the parametric law and its draws."""

import numpy as np
import pytest

from bytegap.scaling.chinchilla import fit_law
from bytegap.scaling.frontier import FrontierPoints, chi_square, fit_frontier_laws
from bytegap.scaling.isoflop import RunDraws
from bytegap.scaling.laws import Law
from bytegap.scaling.parametric import fit_parametric_law

FLOPS = np.geomspace(1e12, 1e14, 6)


def points(curvature: float, sd: float = 0.004, shared: float = 0.02, draws: int = 3000) -> FrontierPoints:
    """Minima that are `curvature` off a power law in the middle, with draws of run noise and of a common shift."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, len(FLOPS))
    point = 1.0 - 0.3 * x + curvature * (1 - x**2)
    run = np.vstack([point, point + sd * rng.standard_normal((draws, len(x)))])
    shift = np.r_[0.0, shared * rng.standard_normal(draws)]
    return FrontierPoints(
        name="arm",
        ln_flops_P=np.log(FLOPS),
        ln_bpb_KP=run + shift[:, None],
        ln_bpb_sd_P=np.full(len(x), sd),
        ln_bpb_run_KP=run,
    )


def test_lack_of_fit_scales_the_noise_of_runs_alone() -> None:
    good, bad = (fit_frontier_laws([points(curvature)], fit_E=False)[0] for curvature in (0.0, 0.05))
    assert (good.lack_of_fit or 0.0) < 1e-9
    assert bad.lack_of_fit is not None
    assert bad.lack_of_fit > 9
    ratio = bad.exponent_K[1:].std() / good.exponent_K[1:].std()
    assert ratio == pytest.approx(bad.lack_of_fit**0.5, rel=0.05)  # a shift of all minima does not change an exponent
    only_shared = fit_frontier_laws([points(0.05, sd=1e-5, shared=0.0)], fit_E=False)[0]
    assert only_shared.exponent_K[1:].std() > 10 * 1e-5


def test_two_minima_have_no_lack_of_fit() -> None:
    found = points(0.0)
    two = FrontierPoints(name="arm", ln_flops_P=found.ln_flops_P[:2], ln_bpb_KP=found.ln_bpb_KP[:, :2],
                         ln_bpb_sd_P=found.ln_bpb_sd_P[:2])  # fmt: skip
    assert fit_frontier_laws([two], fit_E=False)[0].lack_of_fit is None


@pytest.mark.parametrize("curvature", [-0.05, -0.01, 0.0, 0.01, 0.05])
def test_an_irreducible_loss_is_no_worse_than_none(curvature: float) -> None:
    """The power law is that of E = 0, also where minima fall faster and faster."""
    arm = points(curvature)
    with_E, without = (fit_frontier_laws([arm], fit_E=fit_E)[0] for fit_E in (True, False))
    assert chi_square(arm, with_E)[0] <= chi_square(arm, without)[0] * 1.001
    assert (with_E.irreducible_loss_K[0] > 0) == (curvature < 0)


def test_minima_that_fall_faster_and_faster_have_no_irreducible_loss() -> None:
    """Those of BPE-416 under AR, 2026-12-01: near the lowest loss, linear weights hide how far a law is from it."""
    sd = np.full(4, 0.004)
    point = np.log([2.9166, 2.7255, 2.5098, 2.1761])
    draws = point + sd * np.random.default_rng(0).standard_normal((200, 4))
    arm = FrontierPoints(name="arm", ln_flops_P=np.log([3e9, 8e9, 2.4e10, 8e10]), ln_bpb_KP=np.vstack([point, draws]),
                         ln_bpb_sd_P=sd)  # fmt: skip
    assert fit_frontier_laws([arm], fit_E=True)[0].irreducible_loss_K[0] == 0


def runs(law: Law, noise: float, draws: int = 0) -> list[RunDraws]:
    """Six sizes a budget; the measured loss is the law's, and only draws have noise."""
    rng = np.random.default_rng(1)
    cells: list[RunDraws] = []
    for flops in FLOPS:
        size = law.optimum(flops) * np.geomspace(0.25, 4, 6)
        point = np.log(law.bpb_of(size, flops))
        drawn = np.vstack([point, point + noise * rng.standard_normal((draws, 6))])
        cells.append(RunDraws(np.log(size), np.full(6, np.log(flops)), drawn, drawn))
    return cells


def test_parametric_frontier_without_noise_is_the_laws_own() -> None:
    law = Law.through(2.4, 1e13, 1e6, exponents=(0.42, 0.31))
    found = fit_parametric_law(runs(law, 0.0))
    assert found is not None
    constants = found.irreducible_loss_K[0], found.amplitude_K[0], found.exponent_K[0]
    assert constants == pytest.approx(law.frontier, rel=1e-4)


def test_parametric_draws_are_fits_of_the_drawn_runs() -> None:
    law = Law.through(2.4, 1e13, 1e6, exponents=(0.42, 0.31))
    cells = runs(law, 0.002, draws=3)
    found = fit_parametric_law(cells)
    assert found is not None
    for draw in range(1, 4):
        ln_loss = np.concatenate([cell.ln_loss_KR[draw] for cell in cells])
        size = np.exp(np.concatenate([cell.ln_size_R for cell in cells]))
        data = np.exp(np.concatenate([cell.ln_flops_R for cell in cells])) / 6 / size
        alone = fit_law(size, data, np.exp(ln_loss), 0, np.random.default_rng(0))
        own = Law(float(alone.E_K[0]), (float(alone.A_K[0]), float(alone.B_K[0])),
                  (float(alone.alpha_K[0]), float(alone.beta_K[0])))  # fmt: skip
        constants = (each[draw] for each in (found.irreducible_loss_K, found.amplitude_K, found.exponent_K))
        E, amplitude, exponent = constants
        drawn_bpb = E + amplitude * 1e13**-exponent
        assert drawn_bpb == pytest.approx(own.bpb(1e13), rel=2e-5)
        assert abs(drawn_bpb / law.bpb(1e13) - 1) > 5e-5


def test_two_budgets_have_no_parametric_law() -> None:
    assert fit_parametric_law(runs(Law.through(2.4, 1e13, 1e6), 0.0)[:2]) is None
    assert fit_parametric_law([]) is None
