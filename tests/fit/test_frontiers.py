"""Frontiers: laws are recovered, against scipy's curve fit; which forms are fitted, and which is preferred."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from bytegap.fit.cells import fit_cells
from bytegap.fit.frontiers import Arm, FittedFrontier, arms_of, fit_frontiers, preferred_form
from bytegap.schema.fit import Fit
from bytegap.schema.frontier import Frontier
from tests.helpers.synthetic_runs import BUDGETS, LAWS, Law, simulated_rows

SIX = tuple(1e13 * 4.0**i for i in range(6))


def fitted(
    laws: dict[str, Law], budgets: dict, noise: float = 0.0, **update: object
) -> tuple[list[Arm], list[FittedFrontier], list[str]]:
    rows = [row.model_copy(update=update) for row in simulated_rows(laws, budgets, noise=noise)]
    arms = arms_of(rows, fit_cells(rows, 100, np.random.default_rng(0)).cells)
    return arms, *fit_frontiers(arms)


def of_form(fit: Fit, form: str) -> dict[str, Frontier]:
    return {frontier.arm: frontier for frontier in fit.frontiers if frontier.form == form}


def test_shared_irreducible_loss_and_exponents_are_recovered(exact: Fit) -> None:
    for arm, frontier in of_form(exact, "shared irreducible loss").items():
        E, amplitude, exponent = LAWS[arm].frontier
        assert frontier.irreducible_loss_bpb.value == pytest.approx(E, rel=0.03)
        assert frontier.exponent.value == pytest.approx(exponent, rel=0.03)
        assert np.log(frontier.amplitude.value) == pytest.approx(np.log(amplitude), rel=0.03)
        assert frontier.flops_observed == pytest.approx((BUDGETS[arm][0], BUDGETS[arm][-1]))
        assert frontier.bpb_observed == pytest.approx(
            (LAWS[arm].bpb(BUDGETS[arm][-1]), LAWS[arm].bpb(BUDGETS[arm][0])), rel=0.001
        )
        for flops, bpb, low, high in frontier.curve:
            assert bpb == pytest.approx(LAWS[arm].bpb(flops), rel=0.001)
            assert low <= bpb <= high


def test_power_law_matches_numpys_weighted_line() -> None:
    rows = simulated_rows()
    noisy = [row.model_copy(update={"bpb_se": 0.03}) if row.budget_flops in {1e13, 6.4e13} else row for row in rows]
    found = fit_cells(noisy, 2000, np.random.default_rng(0)).cells
    cells = [fitted.cell for fitted in found]
    for frontier in fit_frontiers(arms_of(noisy, found), parametric=False)[0]:
        kept = [cell for cell in cells if cell.arm == frontier.arm.name and cell.in_frontier]
        assert len(kept) == 3
        x = np.log([cell.budget_flops for cell in kept])
        y = np.log([cell.optimum_bpb.value for cell in kept])
        width = [np.log(cell.optimum_bpb.ci95[1] / cell.optimum_bpb.ci95[0]) for cell in kept]
        slope, intercept = np.polyfit(x, y, 1, w=1 / np.array(width))
        if frontier.form == "power law":
            assert frontier.exponent_K[0] == pytest.approx(-slope, rel=0.01)
            assert np.log(frontier.amplitude_K[0]) == pytest.approx(intercept, rel=0.01)


def test_own_irreducible_loss_matches_scipys_curve_fit() -> None:
    arms, curves, _ = fitted({"byte-ar": LAWS["byte-ar"]}, {"byte-ar": SIX}, noise=0.006)
    own = next(curve for curve in curves if curve.form == "own irreducible loss")
    (arm,) = arms

    def law(x: np.ndarray, E: float, height: float, exponent: float) -> np.ndarray:
        return np.log(E + height * np.exp(-exponent * (x - x.mean())))

    best, _ = curve_fit(law, arm.ln_flops_P, arm.ln_bpb_KP[0], p0=(0.8, 1.2, 0.15), sigma=arm.ln_bpb_sd_P, maxfev=20000)
    assert own.irreducible_loss_K[0] == pytest.approx(best[0], abs=0.002)
    assert own.exponent_K[0] == pytest.approx(best[2], rel=0.01)


def test_forms_depend_on_the_number_of_budgets(exact: Fit) -> None:
    three = {"power law", "shared irreducible loss", "parametric"}
    assert {frontier.form for frontier in exact.frontiers} == three
    _, curves, _ = fitted(LAWS, dict.fromkeys(LAWS, SIX[:4]))
    assert {curve.form for curve in curves} == {*three, "own irreducible loss"}


def test_only_tight_likelihoods_of_unpermuted_text_share_an_irreducible_loss() -> None:
    for update in ({"tight_likelihood": False}, {"permutation": "within_window"}):
        _, curves, _ = fitted(LAWS, BUDGETS, **update)
        assert {curve.form for curve in curves} == {"power law", "parametric"}


def test_parametric_form_is_the_frontier_of_the_law_and_can_be_left_out() -> None:
    rows = simulated_rows(noise=0.0)
    arms = arms_of(rows, fit_cells(rows, 20, np.random.default_rng(0)).cells)
    curves = [curve for curve in fit_frontiers(arms)[0] if curve.form == "parametric"]
    assert [curve.arm.name for curve in curves] == sorted(LAWS)
    for curve in curves:
        E, amplitude, exponent = LAWS[curve.arm.name].frontier
        assert curve.irreducible_loss_K[0] == pytest.approx(E, rel=0.001)
        assert curve.exponent_K[0] == pytest.approx(exponent, rel=0.001)
        assert curve.amplitude_K[0] == pytest.approx(amplitude, rel=0.01)
    assert "parametric" not in {curve.form for curve in fit_frontiers(arms, parametric=False)[0]}


def test_two_budgets_per_arm_have_no_shared_irreducible_loss() -> None:
    budgets = {arm: of_arm[:2] for arm, of_arm in BUDGETS.items()}
    _, curves, warnings = fitted(LAWS, budgets)
    assert {curve.form for curve in curves} == {"power law"}
    assert warnings == ["no shared irreducible loss is fitted: the arms have too few budgets to show one"]


def test_one_budget_has_no_frontier() -> None:
    arms, curves, warnings = fitted(LAWS, BUDGETS | {"byte-mdm": (1e15,)})
    assert "byte-mdm" in {arm.name for arm in arms}
    assert "byte-mdm" not in {curve.arm.name for curve in curves}
    assert warnings == ["byte-mdm has no frontier: it has 1 good budgets and needs 2"]


@pytest.mark.parametrize(
    ("irreducible", "form"),
    [((0.0, 0.0), "power law"), ((1.0, 1.0), "shared irreducible loss"), ((0.3, 1.6), "own irreducible loss")],
)
def test_preferred_form_is_the_best_predictor_of_the_largest_budget(
    irreducible: tuple[float, float], form: str
) -> None:
    laws = {
        "byte-ar": Law.through(2.4, 1e14, 150e3, irreducible_loss=irreducible[0]),
        "bpe512-ar": Law.through(2.1, 1e14, 150e3, irreducible_loss=irreducible[1]),
    }
    arms, curves, _ = fitted(laws, dict.fromkeys(laws, SIX))
    errors: dict[str, float] = {}
    for curve in curves:
        if curve.holdout_error is not None:
            errors[curve.form] = max(curve.holdout_error, errors.get(curve.form, 0.0))
    forms = ["power law", "shared irreducible loss", "own irreducible loss"]
    at = forms.index(form)
    assert all(errors[poorer] > 0.02 for poorer in forms[:at])
    assert all(errors[right] < 0.001 for right in forms[at:])  # the right form is a special case of the richer ones
    assert preferred_form(arms, curves) in forms[at:]


def test_preferred_form_below_five_budgets_is_the_shared_irreducible_loss() -> None:
    arms, curves, _ = fitted(LAWS, BUDGETS)
    assert preferred_form(arms, curves) == "shared irreducible loss"
