"""A frontier of the wrong form is told, one of the right form is not."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from bytegap.fit import misfit
from bytegap.fit.frontiers import Arm, fit_frontiers
from bytegap.records import Fit
from bytegap.store import Folder, read_record

ROOT = Path(__file__).parents[2]
FLOPS = np.geomspace(1e10, 4e11, 5)


def arm(bpb, deviation, draws=200, seed=0):
    ln_bpb = np.log(bpb) + deviation * np.random.default_rng(seed).standard_normal((draws + 1, len(bpb)))
    ln_bpb[0] = np.log(bpb)
    return Arm(
        name="bpe-ar",
        tokens="bpe",
        is_bytes=False,
        vocabulary=512,
        objective="ar",
        order="identity",
        model="transformer",
        ln_flops_P=np.log(FLOPS[: len(bpb)]),
        ln_bpb_KP=ln_bpb,
        ln_bpb_deviation_P=np.full(len(bpb), deviation),
    )


@pytest.mark.parametrize("freedom", range(1, 9))
def test_the_tail_is_scipys(freedom):
    for chi_square in (0.1, 1.0, 5.0, 20.0, 80.0):
        assert misfit.survival(chi_square, freedom) == pytest.approx(chi2.sf(chi_square, freedom), rel=1e-9)


def test_minima_that_bend_the_other_way_are_told():
    """Those of BPE-512-AR in the laptop study: the loss falls faster and faster, as no floor makes it."""
    curves, _ = fit_frontiers([arm([3.491, 3.322, 3.140, 2.902, 2.688], 0.0035)])
    (told,) = misfit.warnings(curves)
    assert told.startswith("bpe-ar follows no form of frontier: its minima lie up to 1.")
    assert "the best of 2" in told


def test_minima_of_a_law_are_not_told_more_often_than_they_should():
    law = 1.2 + 90 * FLOPS**-0.17
    told = 0
    for seed in range(300):
        noisy = law * np.exp(0.0035 * np.random.default_rng([seed, 1]).standard_normal(len(law)))
        told += bool(misfit.warnings(fit_frontiers([arm(noisy, 0.0035, draws=5, seed=seed)])[0]))
    assert told <= 3


def test_two_budgets_say_nothing_of_the_form():
    curves, _ = fit_frontiers([arm([3.4, 3.3], 0.001)])
    assert [misfit.misfit(curve) for curve in curves] == [None]
    assert misfit.warnings(curves) == []


def test_a_fit_says_so(exact):
    assert not [warning for warning in exact.warnings if "form of frontier" in warning]
    laptop = read_record(Folder(ROOT / "results" / "laptop").fit, Fit, "fit")  # tests/test_results.py redoes it
    (told,) = [warning for warning in laptop.warnings if "form of frontier" in warning]
    assert told.startswith("bpe512-ar ")
