"""Equivalence of slopes: exponents of known laws, power and error rate against simulated studies."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from bytegap.fit.claims import Evidence, conclude
from bytegap.fit.frontiers import Arm, fit_frontiers
from bytegap.fit.slopes import compare_slopes, least_margin, power
from bytegap.fit.stage import fit_rows
from bytegap.study.comparisons import comparisons
from bytegap.study.config import Fit as FitOptions
from tests.helpers.synthetic_runs import LAWS, simulated_rows

FLOPS = 1e13 * 4.0 ** np.arange(4)
MARGIN = 0.01
PAIR = [("one", "other")]


def arm(name: str, exponent: float, noise: float, rng: np.random.Generator, draws: int = 300) -> Arm:
    point = np.log(1.2) - exponent * np.log(FLOPS / 1e14) + noise * rng.standard_normal(4)
    return Arm(
        name=name, tokenizer=name, is_bytes=True, vocab_size=256, objective="span_mdm", permutation="identity",
        model="transformer", architecture="transformer", tight_likelihood=False,
        ln_flops_P=np.log(FLOPS), ln_bpb_KP=np.vstack([point, point + noise * rng.standard_normal((draws, 4))]),
        ln_bpb_sd_P=np.full(4, noise),
    )  # fmt: skip


def compared(one: float, other: float, noise: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    curves, _ = fit_frontiers([arm("one", one, noise, rng), arm("other", other, noise, rng)])
    (found,) = compare_slopes(PAIR, MARGIN, curves)
    return found


def sentence(found) -> str:
    nothing = Evidence(arms=[], comparisons=comparisons([]), cells=[], frontiers=[], estimands=[], unigram_bpb={})
    return conclude(replace(nothing, slopes=[found]))[-1].sentence


def test_exponents_and_difference_are_recovered():
    found = compared(0.08, 0.056, noise=1e-7)
    assert found.exponents is not None
    assert [each.value for each in found.exponents] == pytest.approx([0.08, 0.056], abs=1e-6)
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.024, abs=1e-6)


@pytest.mark.parametrize(
    ("other", "noise", "words"),
    [
        (0.080, 0.002, "are equivalent within 0.01, the margin set in advance: they"),
        (0.075, 0.0005, "are different, but equivalent within 0.01, the margin set in advance: they"),
        (0.050, 0.002, "are different: they"),
        (0.080, 0.05, "are neither shown to differ nor to be equivalent within 0.01: they"),
    ],
)
def test_sentence_for_each_outcome(other: float, noise: float, words: str):
    assert f"The exponents of one and other {words}" in sentence(compared(0.08, other, noise))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.005, 0.007, 0.009])
def test_power_is_the_pass_rate_of_equal_slopes(noise: float):
    found = [compared(0.08, 0.08, noise, seed) for seed in range(1000)]
    passed = np.mean([each.equivalent for each in found])
    predicted = np.mean([each.power for each in found])
    assert 0.05 < predicted < 0.999
    assert passed == pytest.approx(predicted, abs=0.07)  # intervals scaled for lack of fit vary in width


@pytest.mark.slow
def test_slopes_a_margin_apart_pass_in_5_percent_of_studies():
    passed = np.mean([compared(0.09, 0.08, 0.004, seed).equivalent for seed in range(1000)])
    assert passed == pytest.approx(0.05, abs=0.02)


def test_power_and_least_margin_in_closed_form():
    half, margin = 0.006, 0.011
    deviation = half / norm.ppf(0.95)
    chance = norm.cdf(margin - half, scale=deviation) - norm.cdf(half - margin, scale=deviation)
    assert power(half, margin) == pytest.approx(chance, abs=1e-12)
    assert power(half, half) == 0
    assert power(half, half / 2) == 0
    assert power(half, least_margin(half)) == pytest.approx(0.8, abs=1e-12)


def test_slopes_of_an_arm_without_a_frontier_are_not_identified():
    (found,) = compare_slopes(PAIR, MARGIN, [])
    assert not found.equivalent
    assert found.power is None
    assert sentence(found) == (
        "Not identified at this scale: whether one and other have equal exponents, because one of them has no frontier."
    )


def test_fit_has_a_sentence_for_each_pair_of_slopes():
    options = FitOptions(slopes=(("byte-mdm", "byte-ar"), ("byte-ar", "bpe512-ar")), slope_margin=0.5)
    found = fit_rows(simulated_rows(), bootstraps=100, options=options)
    assert [pair.arms for pair in found.slopes] == list(options.slopes)
    assert len(found.verdict) == 5
    assert [claim.status for claim in found.claims[3:]] == ["equivalent", "equivalent"]
    assert found.claims[3].value == found.slopes[0].difference.value
    assert "byte-ar and bpe512-ar are different, but equivalent within 0.5" in found.verdict[4]
    exponents = {curve.arm: curve.exponent.value for curve in found.frontiers if curve.form == "power law"}
    difference = found.slopes[0].difference
    assert difference is not None
    assert difference.value == pytest.approx(exponents["byte-mdm"] - exponents["byte-ar"], rel=1e-12)
    without = fit_rows(simulated_rows({"byte-ar": LAWS["byte-ar"]}), bootstraps=20)
    assert without.slopes == ()
    assert len(without.verdict) == 3
