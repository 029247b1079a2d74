"""Goodness of fit: minima of another form are rejected, minima of the fitted form are not."""

import numpy as np

from bytegap.fit import goodness_of_fit
from bytegap.fit.frontiers import Arm, fit_frontiers
from bytegap.fit.stage import fit_rows
from tests.helpers.synthetic_runs import BUDGETS, simulated_rows, with_bpb

FLOPS = np.geomspace(1e10, 4e11, 5)


def arm(bpb, deviation, draws=200, seed=0):
    ln_bpb = np.log(bpb) + deviation * np.random.default_rng(seed).standard_normal((draws + 1, len(bpb)))
    ln_bpb[0] = np.log(bpb)
    return Arm(
        name="bpe-ar",
        tokenizer="bpe",
        is_bytes=False,
        vocab_size=512,
        objective="ar",
        permutation="identity",
        model="transformer",
        architecture="transformer",
        tight_likelihood=True,
        ln_flops_P=np.log(FLOPS[: len(bpb)]),
        ln_bpb_KP=ln_bpb,
        ln_bpb_sd_P=np.full(len(bpb), deviation),
    )


def test_minima_of_another_form_are_rejected():
    """The minima of BPE-512-AR in a study of 26 November 2026: the loss falls faster and faster, unlike every form."""
    curves, _ = fit_frontiers([arm([3.491, 3.322, 3.140, 2.902, 2.688], 0.0035)])
    (warning,) = goodness_of_fit.warnings(curves)
    assert warning.startswith("bpe-ar: no fitted frontier passes a goodness-of-fit test")
    assert "forms tried: 2" in warning
    assert "up to 1." in warning


def test_minima_of_the_fitted_form_are_rarely_rejected():
    law = 1.2 + 90 * FLOPS**-0.17
    rejected = 0
    for seed in range(300):
        noisy = law * np.exp(0.0035 * np.random.default_rng([seed, 1]).standard_normal(len(law)))
        rejected += bool(goodness_of_fit.warnings(fit_frontiers([arm(noisy, 0.0035, draws=5, seed=seed)])[0]))
    assert rejected <= 3


def test_two_budgets_cannot_be_tested():
    curves, _ = fit_frontiers([arm([3.4, 3.3], 0.001)])
    assert [goodness_of_fit.goodness_of_fit(curve) for curve in curves] == [None]
    assert goodness_of_fit.warnings(curves) == []


def test_fit_warnings_include_rejected_forms(exact):
    """One arm's loss is 3 % too high at the third of five budgets."""
    assert not [warning for warning in exact.warnings if "goodness-of-fit" in warning]
    five = tuple(4e12 * 4.0**step for step in range(5))
    rows = simulated_rows(budgets=BUDGETS | {"bpe512-ar": five}, noise=0.002)
    bent = [
        with_bpb(row, 1.03 * row.bpb) if row.arm == "bpe512-ar" and row.budget_flops == five[2] else row for row in rows
    ]
    (warning,) = [warning for warning in fit_rows(bent, 100).warnings if "goodness-of-fit" in warning]
    assert warning.startswith("bpe512-ar: ")
