"""Nested test of exponents: the true model is chosen, chi-squares and p-values match scipy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

from bytegap.fit.frontiers import Arm
from bytegap.fit.nested import _fit, separate_laws
from bytegap.fit.stage import fit_rows
from bytegap.schema.fit import Fit
from tests.helpers.synthetic_runs import LAWS, simulated_rows

FLOPS = 1e13 * 4.0 ** np.arange(5)
NAMES = ("byte-ar", "bpe-ar", "byte-mdm", "bpe-mdm")


def arms(
    exponents: dict[str, float], E: float = 0.9, noise: float = 0.004, seed: int = 0, draws: int = 300
) -> list[Arm]:
    """Arms TOKENIZER-OBJECTIVE of five budgets; `exponents` by arm, else by a part of its name."""
    rng = np.random.default_rng(seed)
    made: list[Arm] = []
    for name in NAMES:
        tokenizer, _, objective = name.partition("-")
        exponent = next(exponents[key] for key in (name, tokenizer, objective, "all") if key in exponents)
        truth = np.log(E + 1.2 * (FLOPS / 1e14) ** -exponent)
        point = truth + noise * rng.standard_normal(5)
        made.append(
            Arm(
                name=name, tokenizer=tokenizer, is_bytes=tokenizer == "byte", vocab_size=256, objective=objective,
                permutation="identity", model="transformer", architecture="transformer",
                tight_likelihood=True, ln_flops_P=np.log(FLOPS),
                ln_bpb_KP=np.vstack([point, point + noise * rng.standard_normal((draws, 5))]),
                ln_bpb_sd_P=np.full(5, noise),
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("exponents", "simplest"),
    [
        ({"all": 0.15}, "all"),
        ({"ar": 0.12, "mdm": 0.22}, "objective"),
        ({"byte": 0.12, "bpe": 0.22}, "tokenizer"),
        ({"byte-ar": 0.10, "bpe-ar": 0.16, "byte-mdm": 0.24, "bpe-mdm": 0.13}, "arm"),
    ],
)
@pytest.mark.parametrize("E", [0.0, 0.9])
def test_simplest_true_model_is_chosen(exponents: dict, simplest: str, E: float) -> None:
    found = separate_laws(arms(exponents, E=E), share_irreducible_loss=E > 0)
    assert found is not None
    assert found.simplest == simplest
    assert [model.shared_by for model in found.models] == ["all", "objective", "tokenizer", "arm"]
    assert [model.exponents for model in found.models] == [1, 2, 2, 4]
    assert [model.dof for model in found.models] == [
        15 - (E > 0),
        14 - (E > 0),
        14 - (E > 0),
        12 - (E > 0),
    ]
    assert found.models[-1].p_value is None
    if E:
        assert found.models[-1].irreducible_loss_bpb == pytest.approx(E, abs=0.15)


def test_an_irreducible_loss_is_no_worse_than_none() -> None:
    """Where minima fall faster and faster, a shared loss next to the lowest has small weights and a large residual."""
    minima = np.log([2.9166, 2.7255, 2.5098, 2.1761])  # of BPE-416 under AR, 2026-12-01
    bent = [
        replace(
            arm,
            ln_flops_P=np.log([3e9, 8e9, 2.4e10, 8e10]),
            ln_bpb_KP=minima + arm.ln_bpb_KP[:, :4] - arm.ln_bpb_KP[0, :4],
            ln_bpb_sd_P=arm.ln_bpb_sd_P[:4],
        )
        for arm in arms({"all": 0.15})
    ]
    names = [arm.name for arm in bent]
    with_E, without = (_fit(bent, names, fit_E=fit_E) for fit_E in (True, False))
    for found in (with_E, without):
        laws = zip(bent, found.ln_bpb_P, strict=True)
        z_P = np.concatenate([(arm.ln_bpb_KP[0] - law_P) / arm.ln_bpb_sd_P for arm, law_P in laws])
        assert found.chi_square_K[0] == pytest.approx(z_P @ z_P)
    assert with_E.chi_square_K[0] <= without.chi_square_K[0] * 1.001


def test_nested_chi_square_matches_scipy() -> None:
    given = arms({"ar": 0.14, "mdm": 0.17})

    def chi_square(theta: np.ndarray) -> float:
        E, slopes, heights = theta[0], theta[1:3], theta[3:]
        total = 0.0
        for at, arm in enumerate(given):
            law = E + np.exp(heights[at] - slopes[at // 2] * (arm.ln_flops_P - np.log(1e14)))
            # Weights linearise ln L about the observed loss, as in the fit.
            observed = np.exp(arm.ln_bpb_KP[0])
            residual = np.log((observed - E) / (law - E)) * (observed - E) / observed
            total += float(((residual / arm.ln_bpb_sd_P) ** 2).sum())
        return total

    start = np.array([0.9, 0.14, 0.17, *[np.log(1.2)] * 4])
    tight = {"maxiter": 40000, "maxfev": 40000, "xatol": 1e-9, "fatol": 1e-9}
    found = [minimize(chi_square, start * scale, method="Nelder-Mead", options=tight) for scale in (0.97, 1.0, 1.02)]
    best = min(found, key=lambda each: each.fun)
    ours = _fit(given, [arm.objective for arm in given], fit_E=True)
    assert ours.chi_square_K[0] == pytest.approx(best.fun, rel=1e-3)
    assert ours.E_K[0] == pytest.approx(best.x[0], abs=1e-3)


def test_p_values_match_the_chi_square_distribution() -> None:
    """With E = 0 and known noise, the gain is chi-square with one degree of freedom per exponent saved."""
    for seed in range(5):
        found = separate_laws(arms({"all": 0.15}, E=0.0, seed=seed, draws=1000), share_irreducible_loss=False)
        assert found is not None
        *nested, per_arm = found.models
        for model in nested:
            gain = model.chi_square - per_arm.chi_square
            assert model.p_value == pytest.approx(chi2.sf(gain, model.dof - per_arm.dof), abs=0.05)


def test_a_true_model_is_rejected_in_5_percent_of_studies() -> None:
    rejected = 0
    for seed in range(100):
        found = separate_laws(arms({"all": 0.15}, E=0.0, seed=seed, draws=100), share_irreducible_loss=False)
        assert found is not None
        assert found.models[0].p_value is not None
        rejected += found.models[0].p_value < 0.05
    assert 1 <= rejected <= 12


def test_equal_groupings_are_tested_once() -> None:
    only_ar = [arm for arm in arms({"all": 0.15}) if arm.objective == "ar"]
    found = separate_laws(only_ar)
    assert found is not None
    assert [model.shared_by for model in found.models] == ["all", "arm"]
    assert separate_laws(only_ar[:1]) is None
    assert separate_laws([]) is None


def test_fit_has_the_nested_test_of_its_arms(noisy: Fit) -> None:
    assert noisy.separate_laws is not None
    assert noisy.separate_laws.form == "shared irreducible loss"
    assert noisy.separate_laws.arms == tuple(sorted(LAWS))
    assert fit_rows(simulated_rows({"byte-ar": LAWS["byte-ar"]}), bootstraps=20).separate_laws is None
