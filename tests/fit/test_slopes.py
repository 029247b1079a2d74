"""Equivalence of slopes: the exponents of known laws, power and coverage against simulated tests, scipy's normal."""

import numpy as np
import pytest
from scipy.stats import norm

from bytegap.fit.frontiers import Arm, fit_frontiers
from bytegap.fit.slopes import least_margin, power, sentence, slopes
from bytegap.fit.stage import fit_rows
from bytegap.study import Fit as Asked
from tests.studies import LAWS, simulated_rows

FLOPS = 1e13 * 4.0 ** np.arange(4)
MARGIN = 0.01
PAIR = [("one", "other")]


def arm(name: str, exponent: float, noise: float, rng: np.random.Generator, draws: int = 300) -> Arm:
    point = np.log(1.2) - exponent * np.log(FLOPS / 1e14) + noise * rng.standard_normal(4)
    return Arm(
        name=name, tokens=name, is_bytes=True, vocabulary=256, objective="span", order="identity", model="transformer",
        ln_flops_P=np.log(FLOPS), ln_bpb_KP=np.vstack([point, point + noise * rng.standard_normal((draws, 4))]),
        ln_bpb_deviation_P=np.full(4, noise),
    )  # fmt: skip


def answer(one: float, other: float, noise: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    curves, _ = fit_frontiers([arm("one", one, noise, rng), arm("other", other, noise, rng)])
    (found,) = slopes(PAIR, MARGIN, curves)
    return found


def test_exponents_come_back():
    found = answer(0.08, 0.056, noise=1e-7)
    assert found.exponents is not None
    assert [each.value for each in found.exponents] == pytest.approx([0.08, 0.056], abs=1e-6)
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.024, abs=1e-6)


@pytest.mark.parametrize(
    ("other", "noise", "words"),
    [
        (0.080, 0.002, "are equally steep within 0.01, the margin named beforehand"),
        (0.075, 0.0005, "are not equally steep, but within 0.01 of it"),
        (0.050, 0.002, "are not equally steep: their"),
        (0.080, 0.05, "are not told apart, nor shown to be equally steep within 0.01"),
    ],
)
def test_what_is_said(other: float, noise: float, words: str):
    assert f"one and other {words}" in sentence(answer(0.08, other, noise))


@pytest.mark.parametrize("noise", [0.005, 0.007, 0.009])
def test_power_is_how_often_equal_slopes_pass(noise: float):
    found = [answer(0.08, 0.08, noise, seed) for seed in range(1000)]
    passed = np.mean([each.equivalent for each in found])
    foretold = np.mean([each.power for each in found])
    assert 0.05 < foretold < 0.999
    assert passed == pytest.approx(foretold, abs=0.04)


def test_slopes_a_margin_apart_pass_one_time_in_twenty():
    passed = np.mean([answer(0.09, 0.08, 0.004, seed).equivalent for seed in range(1000)])
    assert passed == pytest.approx(0.05, abs=0.02)


def test_power_in_closed_form():
    half, margin = 0.006, 0.011
    deviation = half / norm.ppf(0.95)
    chance = norm.cdf(margin - half, scale=deviation) - norm.cdf(half - margin, scale=deviation)
    assert power(half, margin) == pytest.approx(chance, abs=1e-12)
    assert power(half, half) == 0
    assert power(half, half / 2) == 0
    assert power(half, least_margin(half)) == pytest.approx(0.8, abs=1e-12)


def test_an_arm_without_a_frontier_is_not_identified():
    (found,) = slopes(PAIR, MARGIN, [])
    assert not found.equivalent
    assert found.power is None
    assert sentence(found) == (
        "Not identified at this scale: whether one and other are equally steep, as one of them has no frontier."
    )


def test_a_study_that_asks_gets_a_sentence_a_pair():
    asked = Asked(slopes=(("byte-mdm", "byte-ar"), ("byte-ar", "bpe512-ar")), slope_margin=0.5)
    found = fit_rows(simulated_rows(), bootstraps=100, asked=asked)
    assert [pair.arms for pair in found.slopes] == list(asked.slopes)
    assert len(found.verdict) == 5
    assert "byte-ar and bpe512-ar are not equally steep, but within 0.5 of it" in found.verdict[4]
    exponents = {curve.arm: curve.exponent.value for curve in found.frontiers if curve.form == "no floor"}
    difference = found.slopes[0].difference
    assert difference is not None
    assert difference.value == pytest.approx(exponents["byte-mdm"] - exponents["byte-ar"], rel=1e-12)
    without = fit_rows(simulated_rows({"byte-ar": LAWS["byte-ar"]}), bootstraps=20)
    assert without.slopes == []
    assert len(without.verdict) == 3
