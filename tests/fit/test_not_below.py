"""Non-inferiority of exponents: known laws, shared losses, error rate and power on simulated frontiers, sentences."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from bytegap.fit.claims import Evidence, conclude
from bytegap.fit.frontiers import Arm, fit_frontiers
from bytegap.fit.not_below import exponents_not_below, power
from bytegap.fit.stage import fit_rows
from bytegap.schema.frontier import ExponentNotBelow
from bytegap.study.comparisons import comparisons
from bytegap.study.config import Fit as FitOptions
from tests.helpers.synthetic_runs import LAWS, simulated_rows

FLOPS = 1e12 * 4.0 ** np.arange(4)
MARGIN = 0.01
PAIR = [("one", "other")]


def arm(name: str, exponent: float, noise: float, seed: int, *, level: float = 2.0, draws: int = 300) -> Arm:
    rng = np.random.default_rng(seed)
    point = np.log(level) - exponent * np.log(FLOPS / FLOPS[0]) + noise * rng.standard_normal(4)
    return Arm(
        name=name, tokenizer=name, is_bytes=True, vocab_size=256, objective="span_mdm", permutation="identity",
        model="transformer", architecture="transformer", tight_likelihood=False,
        ln_flops_P=np.log(FLOPS), ln_bpb_KP=np.vstack([point, point + noise * rng.standard_normal((draws, 4))]),
        ln_bpb_sd_P=np.full(4, noise),
    )  # fmt: skip


def non_inferiority(one: float, other: float, noise: float, seed: int = 0, level: float = 2.0) -> ExponentNotBelow:
    arms = [arm("one", one, noise, 2 * seed), arm("other", other, noise, 2 * seed + 1, level=level)]
    power_laws = [each for each in fit_frontiers(arms)[0] if each.form == "power law"]
    (found,) = exponents_not_below(PAIR, MARGIN, arms, power_laws)
    return found


def sentence(found: ExponentNotBelow) -> str:
    nothing = Evidence(arms=[], comparisons=comparisons([]), cells=[], frontiers=[], estimands=[], unigram_bpb={})
    return conclude(replace(nothing, slopes_not_below=[found]))[-1].sentence


def test_exponents_of_power_laws_are_recovered():
    found = non_inferiority(0.08, 0.056, noise=1e-7, level=1.9)
    assert found.exponents is not None
    assert [each.value for each in found.exponents] == pytest.approx([0.08, 0.056], abs=1e-6)
    assert found.bpb_shared is not None
    assert found.bpb_shared == pytest.approx((1.9 * 64**-0.056, 1.9), rel=1e-5)
    assert found.ci90 is not None
    assert found.ci90 == pytest.approx((0.024, 0.024), abs=1e-6)


def test_exponents_are_over_the_losses_that_both_arms_reach():
    """Two arms of one law, one seen higher on it: their own budgets give different exponents, shared losses do not."""
    law = LAWS["byte-ar"]
    budgets = {"byte-ar": (1e13, 4e13, 1.6e14, 6.4e14), "byte-mdm": (2.5e12, 1e13, 4e13, 1.6e14)}
    rows = simulated_rows({"byte-ar": law, "byte-mdm": law}, budgets, noise=1e-5)
    options = FitOptions(slopes=(("byte-mdm", "byte-ar"),), slopes_not_below=(("byte-mdm", "byte-ar"),), slope_margin=1)
    fit = fit_rows(rows, bootstraps=50, options=options)
    (own,), (shared,) = fit.slopes, fit.slopes_not_below
    assert own.difference is not None
    assert own.difference.value is not None
    assert own.difference.value > 0.008
    assert shared.form == "shared irreducible loss"
    assert shared.difference is not None
    assert shared.difference.value == pytest.approx(0, abs=1e-3)
    low, high = shared.bpb_shared or (0.0, 0.0)
    exact = np.log(high / low) / np.log(law.flops(low) / law.flops(high))
    assert shared.exponents is not None
    assert shared.exponents[1].value == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(
    ("one", "noise", "words"),
    [
        (0.080, 0.001, "The exponent of one is above that of other less 0.01, the margin set in advance: from 2.00 to"),
        (0.050, 0.001, "The exponent of one is below that of other by more than 0.01, the margin set in advance: from"),
        (0.075, 0.02, "It is not decided whether the exponent of one is above that of other less 0.01, the margin set"),
    ],
)
def test_sentence_for_each_outcome(one: float, noise: float, words: str):
    assert sentence(non_inferiority(one, 0.08, noise)).startswith(words)


def test_power_in_closed_form():
    half, margin = 0.006, 0.011
    deviation = half / norm.ppf(0.95)
    assert power(half, margin) == pytest.approx(norm.sf(half - margin, scale=deviation), abs=1e-12)
    assert power(half, 0.0) == pytest.approx(0.05, abs=1e-12)


@pytest.mark.slow
def test_exponents_a_margin_below_pass_in_5_percent_of_studies():
    passed = np.mean([non_inferiority(0.07, 0.08, 0.004, seed).not_below for seed in range(1000)])
    assert passed == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.005, 0.01])
def test_power_is_the_pass_rate_of_equal_exponents(noise: float):
    found = [non_inferiority(0.08, 0.08, noise, seed) for seed in range(1000)]
    predicted = float(np.mean([each.power for each in found]))
    assert 0.1 < predicted < 0.99
    assert np.mean([each.not_below for each in found]) == pytest.approx(predicted, abs=0.07)


def test_arms_without_a_common_loss_or_a_frontier_are_not_identified():
    apart = non_inferiority(0.08, 0.08, 1e-4, level=0.5)
    assert apart.bpb_shared is None
    assert "whether the exponent of one is above that of other less 0.01" in sentence(apart)
    assert sentence(apart).endswith("because the two arms were observed at no common loss.")
    (unknown,) = exponents_not_below(PAIR, MARGIN, [], [])
    assert not unknown.not_below
    arms = [arm("one", 0.08, 1e-4, 0), arm("other", 0.08, 1e-4, 1)]
    (without,) = exponents_not_below(PAIR, MARGIN, arms, [])
    assert sentence(without).endswith("because one of them has no frontier.")
