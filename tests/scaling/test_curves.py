"""IsoFLOP curves of an arm against numpy and scipy: minimum in closed form, draws, window of wide grids."""

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize_scalar

from bytegap.scaling.curves import Coefficients, IsoflopCurves, curvature_basis
from bytegap.scaling.laws import Law
from bytegap.scaling.window import near_minimum

CELL = np.repeat([0, 1, 2], 6)
X = np.tile(np.linspace(-1.4, 1.4, 6), 3)


def curves(noise: float = 0.0, skew: float = -0.006, seed: int = 0, *, skewed: bool = True) -> IsoflopCurves:
    """Three cells of six sizes with minima at x = 0.2, 0, -0.1."""
    z = X - np.array([0.2, 0.0, -0.1])[CELL]
    ln_loss = (9 - CELL) / 10 + 0.03 * z**2 + skew * z**3
    ln_loss += noise * np.random.default_rng(seed).standard_normal(len(X))
    return IsoflopCurves(CELL, 9.0 + CELL + X, ln_loss, np.eye(3), skewed=skewed)


def test_curves_without_skew_are_numpys_parabolas() -> None:
    fitted = curves(noise=0.01, skewed=False)
    for cell in range(3):
        own = np.polyfit(fitted.x_R[cell == CELL], fitted.ln_loss_R[cell == CELL], 2)
        assert fitted.coefficients_P[cell::3] == pytest.approx(own[::-1])
    assert fitted.dof == 9


def test_a_shared_skew_is_recovered_with_the_minima() -> None:
    fitted = curves()
    assert fitted.coefficients_P[-1] == pytest.approx(-0.006)
    assert fitted.dof == 8
    x_KC, ln_loss_KC = fitted.minima(fitted.draw(np.empty((0, len(X)))))
    assert x_KC[0] == pytest.approx([0.2, 0.0, -0.1])
    assert ln_loss_KC[0] == pytest.approx([0.9, 0.8, 0.7])
    parabolas = curves(skewed=False)
    biased_KC, _ = parabolas.minima(parabolas.draw(np.empty((0, len(X)))))
    assert np.abs(biased_KC[0] - [0.2, 0.0, -0.1]).min() > 0.05


def test_shared_and_linear_curvatures_are_recovered() -> None:
    ln_flops = np.log([1e10, 1e11, 5e11])
    for degree, truth in ((0, np.array([0.03])), (1, np.array([0.03, -0.004]))):
        basis = curvature_basis(ln_flops, degree)
        ln_loss = (9 - CELL) / 10 + 0.01 * X + (basis @ truth)[CELL] * X**2
        fitted = IsoflopCurves(CELL, 9.0 + CELL + X, ln_loss, basis, skewed=False)
        assert fitted.coefficients_P[6:] == pytest.approx(truth)
        assert fitted.dof == 12 - len(truth)
        drawn = fitted.draw(np.zeros((1, len(X))))
        assert drawn.c_KC[1] == pytest.approx(basis @ truth)
        size, loss = fitted.plot_points(1, 2)[0]
        assert (size, loss) == pytest.approx((np.exp(10.0 + X[0]), np.exp(ln_loss[6])))
    assert curvature_basis(ln_flops, 2) == pytest.approx(np.eye(3))
    assert curvature_basis(ln_flops[:1], 0) == pytest.approx(np.eye(1))


def test_huber_estimate_matches_scipy() -> None:
    fitted = curves(noise=0.003)
    fitted.ln_loss_R[4] += 0.03
    scale = 0.003
    reference = least_squares(
        lambda theta: fitted.ln_loss_R - fitted.design_RP @ theta,
        fitted.coefficients_P,
        loss="huber",
        f_scale=1.345 * scale,  # 95 % efficient under normal noise
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    before = fitted.coefficients_P
    fitted.reweight(scale)
    assert fitted.coefficients_P == pytest.approx(reference.x, abs=1e-6)
    assert np.abs(fitted.coefficients_P - before).max() > 1e-4


@pytest.mark.parametrize("d", [-0.02, -1e-9, 0.0, 1e-9, 0.02])
@pytest.mark.parametrize(("b", "c"), [(0.01, 0.05), (-0.03, 0.04), (0.0, 0.02), (0.01, -0.01)])
def test_minimum_in_closed_form_matches_scipy(b: float, c: float, d: float) -> None:
    one = Coefficients(*(np.array([[each]]) for each in (0.5, b, c)), np.array([d]))
    x = float(one.minimum_KC[0, 0])
    roots = np.roots([3 * d, 2 * c, b]) if d else np.array([-b / (2 * c)])
    rising = [root.real for root in roots if abs(root.imag) < 1e-12 and 2 * c + 6 * d * root.real > 0]
    if not rising:
        assert np.isnan(x)
        return
    assert x == pytest.approx(rising[0], rel=1e-6, abs=1e-9)
    near = minimize_scalar(lambda z: b * z + c * z**2 + d * z**3, bounds=(x - 0.3, x + 0.3), method="bounded")
    assert x == pytest.approx(near.x, rel=1e-7, abs=1e-4)


def test_a_draw_is_the_least_squares_fit_of_the_noisy_runs() -> None:
    fitted = curves(noise=0.004)
    noise = 0.01 * np.random.default_rng(1).standard_normal((3, len(X)))
    drawn = fitted.draw(noise)
    for draw in range(3):
        again = IsoflopCurves(CELL, fitted.ln_size_R, fitted.ln_loss_R + noise[draw], np.eye(3), skewed=True)
        assert drawn.d_K[1 + draw] == pytest.approx(again.coefficients_P[-1])
        assert drawn.b_KC[1 + draw] == pytest.approx(again.coefficients_P[3:6])


def test_a_curve_without_minimum_in_its_range_has_its_lower_end() -> None:
    falling = IsoflopCurves(np.zeros(5, dtype=np.int64), np.arange(5.0), -0.1 * np.arange(5.0), np.eye(1), skewed=False)
    x_KC, ln_loss_KC = falling.minima(falling.draw(np.empty((0, 5))))
    assert x_KC[0, 0] == 2.0
    assert ln_loss_KC[0, 0] == pytest.approx(-0.4)


@pytest.mark.parametrize("best", [1e7, 5e7, 3e8])
def test_window_of_a_wide_grid_is_within_four_times_of_the_minimum(best: float) -> None:
    law = Law.through(2.5, 1e19, best, irreducible_loss=1.69, exponents=(0.34, 0.28))
    size = np.geomspace(best / 20, best * 20, 13)
    ln_loss = np.log(law.bpb_of(size, 1e19))
    used = near_minimum(np.log(size), ln_loss)
    assert (used == (np.abs(np.log(size / best)) <= np.log(4.0))).all()


def test_grids_that_are_not_wide_or_have_four_sizes_are_used_whole() -> None:
    for size in (np.geomspace(1, 60, 9), np.geomspace(1, 400, 4)):
        assert near_minimum(np.log(size), np.log(size) ** 2).all()


def test_window_at_the_edge_of_a_grid_keeps_four_sizes() -> None:
    ln_size = np.log(np.geomspace(1, 1e5, 7))
    used = near_minimum(ln_size, 0.1 * ln_size)
    assert used.tolist() == [True] * 4 + [False] * 3
