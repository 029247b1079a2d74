"""The Chinchilla fit: laws are recovered, minima match scipy, derivatives are right, intervals cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from bytegap.scaling import laws, newton
from bytegap.scaling.chinchilla import FittedLaw, fit_law
from bytegap.scaling.newton import Design, minimise, objective

BESIROGLU = (1.8172, 482.01, 2085.43, 0.3478, 0.3658)
HOFFMANN = (1.69, 406.4, 410.7, 0.34, 0.28)
NAMES = ("E", "A", "B", "alpha", "beta")


def table(law: tuple[float, ...], noise: float = 0.0, rows: int = 240, seed: int = 0) -> tuple[np.ndarray, ...]:
    """(N, D, L) of runs spread as Chinchilla's were."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(np.log(4e7), np.log(1.6e10), rows))
    data = np.exp(rng.uniform(np.log(6e18), np.log(3e21), rows)) / 6 / size
    E, by_size, by_data, alpha, beta = law
    loss = laws.chinchilla_bpb(size, data, E, (by_size, by_data), (alpha, beta))
    return size, data, loss * np.exp(noise * rng.standard_normal(rows))


def fit(runs: tuple[np.ndarray, ...], bootstraps: int = 0) -> FittedLaw:
    return fit_law(*runs, bootstraps, np.random.default_rng(1))


def constants(law: FittedLaw) -> list[float]:
    return [float(getattr(law, f"{name}_K")[0]) for name in NAMES]


def huber(theta: np.ndarray, size: np.ndarray, data: np.ndarray, loss: np.ndarray) -> float:
    """Hoffmann et al. 2022, eq. 3, in (a, b, e, alpha, beta), written out directly."""
    a, b, e, alpha, beta = theta
    law = np.log(np.exp(a - alpha * np.log(size)) + np.exp(b - beta * np.log(data)) + np.exp(e))
    residual = np.abs(law - np.log(loss))
    return float(np.where(residual <= 1e-3, residual**2 / 2, 1e-3 * (residual - 1e-3 / 2)).sum())


def by_scipy(runs: tuple[np.ndarray, ...], start: np.ndarray) -> tuple[float, np.ndarray]:
    """Simplex, then BFGS, in centred coordinates where a and alpha are nearly uncorrelated: (objective, constants)."""
    size, data, _ = runs
    centre = np.log(size).mean(), np.log(data).mean()

    def uncentred(theta: np.ndarray) -> np.ndarray:
        a, b, e, alpha, beta = theta
        return np.array([a + alpha * centre[0], b + beta * centre[1], e, alpha, beta])

    def loss(theta: np.ndarray) -> float:
        return 1e3 * huber(uncentred(theta), *runs)

    tight = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 20000, "maxfev": 20000}
    found = minimize(loss, start, method="Nelder-Mead", options=tight)
    found = minimize(loss, found.x, method="BFGS", options={"gtol": 1e-11})
    a, b, e, alpha, beta = uncentred(found.x)
    return found.fun / 1e3, np.array([np.exp(e), np.exp(a), np.exp(b), alpha, beta])


@pytest.mark.parametrize("law", [BESIROGLU, HOFFMANN, (0.9, 30.0, 60.0, 0.2, 0.45), (2.5, 5e4, 300.0, 0.6, 0.25)])
def test_law_without_noise_is_recovered(law: tuple[float, ...]) -> None:
    found = fit(table(law))
    assert constants(found) == pytest.approx(law, rel=1e-6)
    assert np.abs(found.residual_R).max() < 1e-9


@settings(max_examples=6, deadline=None)
@given(
    E=st.floats(0.5, 3.0),
    shares=st.tuples(st.floats(0.1, 0.6), st.floats(0.1, 0.6)),
    exponents=st.tuples(st.floats(0.15, 0.7), st.floats(0.15, 0.7)),
    seed=st.integers(0, 1000),
)
def test_random_laws_are_recovered(
    E: float, shares: tuple[float, float], exponents: tuple[float, float], seed: int
) -> None:
    amplitudes = shares[0] * 1e9 ** exponents[0], shares[1] * 2e10 ** exponents[1]
    law = (E, *amplitudes, *exponents)
    assert constants(fit(table(law, rows=40, seed=seed))) == pytest.approx(law, rel=1e-3)


@pytest.mark.parametrize("outliers", [0, 6])
@pytest.mark.parametrize("noise", [0.0, 0.003, 0.02])
def test_fit_law_minimum_matches_scipy(noise: float, outliers: int) -> None:
    size, data, loss = table(BESIROGLU, noise, rows=60, seed=3)
    loss[:outliers] *= 1.4
    runs = size, data, loss
    ours = fit(runs)
    theta = np.array([np.log(ours.A_K[0]), np.log(ours.B_K[0]), np.log(ours.E_K[0]), ours.alpha_K[0], ours.beta_K[0]])
    assert ours.objective == pytest.approx(huber(theta, *runs), rel=1e-9, abs=1e-20)
    centred = theta.copy()
    centred[0] -= theta[3] * np.log(size).mean()
    centred[1] -= theta[4] * np.log(data).mean()
    rng = np.random.default_rng(0)
    found = [by_scipy(runs, centred + scale * rng.standard_normal(5)) for scale in (0.02, 0.05, 0.1, 0.2)]
    value, theirs = min(found, key=lambda each: each[0])
    assert ours.objective <= value * (1 + 1e-9) + 1e-18
    assert constants(ours) == pytest.approx(theirs, rel=1e-3)


def test_no_random_start_finds_a_lower_minimum() -> None:
    size, data, loss = table(BESIROGLU, 0.02, rows=30, seed=5)
    loss[3] *= 1.5
    found = fit((size, data, loss))
    x, y = np.log(size), np.log(data)
    rows = Design((x - x.mean()) / x.std(), (y - y.mean()) / y.std(), np.log(loss))
    cloud = np.random.default_rng(0).normal([0.3, -1, 0.5, -1, 0.5], [1, 2, 1, 2, 1], size=(2000, 5))
    _, value = minimise(rows, cloud, np.ones((2000, 30)))
    assert found.objective <= value.min() * (1 + 1e-9)


def test_gradient_and_hessian_match_difference_quotients() -> None:
    rng = np.random.default_rng(2)
    rows = Design(rng.standard_normal(50), rng.standard_normal(50), 0.5 + 2e-3 * rng.standard_normal(50))
    weight = rng.integers(0, 3, (1, 50)).astype(float)
    theta = np.array([[0.1424, -1.3, 1e-3, -1.5, 2e-3]])

    def evaluate(point: np.ndarray) -> newton._Evaluation:
        return newton._evaluate(rows, point[None, :], weight)

    inside = np.abs(newton.residuals(rows, theta)) < newton.HUBER_DELTA
    assert 0 < inside.sum() < 50
    gradient = approx_fprime(theta[0], lambda point: evaluate(point).value_M[0], 1e-7)
    assert evaluate(theta[0]).gradient_M5[0] == pytest.approx(gradient, rel=1e-3, abs=1e-7)
    for column in range(5):
        slope = approx_fprime(theta[0], lambda point, column=column: evaluate(point).gradient_M5[0, column], 1e-9)
        assert evaluate(theta[0]).hessian_M55[0, column] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_an_integer_weight_is_a_repeated_row() -> None:
    rng = np.random.default_rng(4)
    rows = Design(rng.standard_normal(20), rng.standard_normal(20), 0.5 + 0.01 * rng.standard_normal(20))
    count = rng.multinomial(20, np.full(20, 0.05))
    often = Design(*(np.repeat(each, count) for each in (rows.x_R, rows.y_R, rows.ln_loss_R)))
    theta = np.array([[0.2, -1.3, 0.1, -1.5, 0.2]])
    assert newton._evaluate(rows, theta, count[None, :] * 1.0).value_M == pytest.approx(objective(often, theta))


@pytest.mark.parametrize("law", [BESIROGLU, HOFFMANN])
def test_intervals_of_published_laws_include_them(law: tuple[float, ...]) -> None:
    found = fit(table(law, 0.005, seed=11), bootstraps=300)
    for name, truth in zip(NAMES, law, strict=True):
        low, high = np.quantile(getattr(found, f"{name}_K")[1:], [0.025, 0.975])
        assert low < truth < high
        assert high - low < 2 * truth
    low, high = np.quantile(found.size_exponent_K[1:], [0.025, 0.975])
    assert low < law[4] / (law[3] + law[4]) < high < low + 0.1


def test_each_bootstrap_draw_is_the_fit_of_its_resample() -> None:
    size, data, loss = table(BESIROGLU, 0.01, rows=30, seed=2)
    found = fit((size, data, loss), bootstraps=5)
    counts = np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), size=5)
    for draw, count in enumerate(counts, start=1):
        alone = fit(tuple(np.repeat(each, count) for each in (size, data, loss)))
        assert [float(getattr(found, f"{name}_K")[draw]) for name in NAMES] == pytest.approx(constants(alone), rel=1e-3)


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    covered = 0
    for seed in range(40):
        draws = fit(table(BESIROGLU, 0.01, rows=60, seed=seed), bootstraps=100).size_exponent_K[1:]
        low, high = np.quantile(draws, [0.025, 0.975])
        covered += low < BESIROGLU[4] / (BESIROGLU[3] + BESIROGLU[4]) < high
    assert covered / 40 >= 0.85


def test_law_without_irreducible_loss() -> None:
    size, data, loss = table((1e-12, 60.0, 200.0, 0.15, 0.2), 0.0)
    # An irreducible loss does not help against this curvature.
    loss *= np.exp(-0.02 * np.log(size / size.mean()) ** 2 / 10)
    found = fit((size, data, loss), bootstraps=20)
    assert not found.has_irreducible_loss
    assert found.E_K[0] == 0.0
    assert np.isfinite(constants(found)).all()
