"""Formulas of scaling laws against scipy's root finder and minimiser."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from bytegap.scaling import laws

exponents = st.floats(0.05, 0.6)
amplitudes = st.floats(1.0, 1e3)


@given(flops=st.floats(1e10, 1e24), E=st.floats(0.0, 1.5), amplitude=amplitudes, exponent=exponents)
def test_frontier_flops_matches_scipys_root(flops: float, E: float, amplitude: float, exponent: float) -> None:
    above = float(laws.frontier_bpb(flops, 0.0, amplitude, exponent))
    bpb = E + above
    root = brentq(lambda x: amplitude * np.exp(-exponent * x) - (bpb - E), 0, 100, xtol=1e-13)
    assert laws.frontier_bpb(flops, E, amplitude, exponent) == pytest.approx(bpb)
    assert np.log(laws.frontier_flops(bpb, E, amplitude, exponent)) == pytest.approx(root, rel=1e-6)


def test_frontier_flops_of_an_unattainable_loss_is_nan() -> None:
    flops = laws.frontier_flops(np.array([0.9, 1.0, 2.0, 2.0]), 1.0, 5.0, np.array([0.1, 0.1, 0.1, -0.1]))
    assert np.isnan(flops).tolist() == [True, True, False, True]


def test_frontier_slope_matches_difference_quotient() -> None:
    law = (0.8, 40.0, 0.1)
    step = 1e-4
    ends = laws.frontier_bpb(1e15 * np.exp(np.array([-step, step])), *law)
    slope = laws.frontier_slope(laws.frontier_bpb(1e15, *law), law[0], law[2])
    assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-6)


@given(
    flops=st.floats(1e12, 1e22),
    by_size=amplitudes,
    by_data=amplitudes,
    alpha=st.floats(0.1, 0.6),
    beta=st.floats(0.1, 0.6),
)
def test_chinchilla_optimum_matches_scipys_minimum(
    flops: float, by_size: float, by_data: float, alpha: float, beta: float
) -> None:
    law = ((by_size, by_data), (alpha, beta))

    def loss(ln_size: float) -> float:
        return by_size * np.exp(-alpha * ln_size) + by_data * np.exp(-beta * (np.log(flops / 6) - ln_size))

    found = minimize_scalar(loss, bracket=(10, 20), tol=1e-10)
    parameters, tokens = laws.chinchilla_optimum(flops, *law)
    assert np.log(parameters) == pytest.approx(found.x, abs=1e-3)
    assert 6 * parameters * tokens == pytest.approx(flops)
    E, amplitude, exponent = laws.chinchilla_frontier(0.7, *law)
    assert laws.frontier_bpb(flops, E, amplitude, exponent) == pytest.approx(0.7 + found.fun, rel=1e-9)
    assert laws.chinchilla_bpb(parameters, tokens, 0.7, *law) == pytest.approx(0.7 + found.fun, rel=1e-9)


def test_compute_below_every_float_still_has_a_logarithm() -> None:
    assert np.isfinite(np.log(laws.frontier_flops(3.0, 0.0, 1.0, 1e-4)))
