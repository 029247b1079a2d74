"""Answers under other conventions: studies laid by one count of compute and read by another, against brute force."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from bytegap import laws
from bytegap.fit import conventions
from bytegap.fit.stage import fit_rows
from bytegap.records import Fit, Recount, RunRow
from tests.studies import BUDGETS, LAWS, simulated_rows

Cost = Callable[[str, float], float]
"""Training FLOPs a symbol of (arm, non-embedding parameters)."""
DEFAULT = "attention=full head=all"
RAISED = {arm: tuple(12 * flops for flops in budgets) for arm, budgets in BUDGETS.items()}
"""Maps and heads cost too, and the arms must still learn context."""
DEPTH = 2
CONTEXT = {"byte": 512, "bpe512": 128}
HEAD = {"byte": 259, "bpe512": 8195}
"""Rows of the head, of a larger vocabulary than the arms' names say: its cost falls on one arm only."""


def six(_arm: str, parameters: float) -> float:
    return 6 * parameters


def everything(arm: str, parameters: float) -> float:
    """6N, maps of every layer and a head, of a Transformer with 12 width^2 parameters a layer."""
    tokens = arm.partition("-")[0]
    width = (parameters / (12 * DEPTH)) ** 0.5
    return 6 * parameters + 12 * DEPTH * CONTEXT[tokens] * width + 6 * HEAD[tokens] * width


COSTS = {"6nd": six, "everything": everything}


@functools.cache
def best(arm: str, cost: str, ln_flops: float) -> tuple[float, float]:
    """(ln N, L) of the lowest loss at a compute, by minimisation over N: a grid, then its best bracket."""
    law = LAWS[arm]

    def loss(ln_size: float) -> float:
        symbols = np.exp(ln_flops) / COSTS[cost](arm, np.exp(ln_size))
        return float(laws.chinchilla_bpb(np.exp(ln_size), symbols, law.floor, law.amplitudes, law.exponents))

    grid = np.linspace(0, 24, 200)
    at = int(np.argmin([loss(x) for x in grid]))
    found = minimize_scalar(loss, bounds=(grid[at - 1], grid[at + 1]), method="bounded", options={"xatol": 1e-8})
    return float(found.x), float(found.fun)


def ln_k(objective: str, cost: str, bpb: float) -> float:
    byte, other = (
        brentq(lambda x, arm=f"{tokens}-{objective}": best(arm, cost, x)[1] - bpb, 24, 45)
        for tokens in ("byte", "bpe512")
    )
    return byte - other


def study(laid_by: str, read_by: str, *, noise: float = 0.0, seed: int = 0) -> list[RunRow]:
    """Every cell's runs cost its budget by one count; the other is stated as `6nd`, whichever it is."""
    rng = np.random.default_rng(seed)
    rows: list[RunRow] = []
    for row in simulated_rows(noise=0.0, budgets=RAISED):
        law, flops = LAWS[row.arm], row.budget_flops
        centre, _ = best(row.arm, laid_by, np.log(flops))
        middle, _ = laws.chinchilla_optimum(flops, law.amplitudes, law.exponents)
        parameters = round(row.non_embedding_parameters / float(middle) * np.exp(centre))
        symbols = flops / COSTS[laid_by](row.arm, parameters)
        bpb = float(laws.chinchilla_bpb(parameters, symbols, law.floor, law.amplitudes, law.exponents))
        changed = {
            "non_embedding_parameters": parameters,
            "symbols": round(symbols),
            "bpb": bpb * float(np.exp(noise * rng.standard_normal())),
            "bpb_se": 0.0,
            "flops_by_convention": {DEFAULT: flops, "6nd": symbols * COSTS[read_by](row.arm, parameters)},
        }
        rows.append(row.model_copy(update=changed))
    return rows


@pytest.fixture(scope="module", params=[("everything", "6nd"), ("6nd", "everything")], ids="->".join)
def recounted(request: pytest.FixtureRequest) -> tuple[str, str, Fit]:
    laid_by, read_by = request.param
    return laid_by, read_by, fit_rows(study(laid_by, read_by), bootstraps=20)


def value(found: Recount, name: str, objective: str) -> float:
    (row,) = [row for row in found.estimands if (row.name, row.objective) == (name, objective)]
    assert row.label == "estimated"
    assert row.quantity.value is not None
    return row.quantity.value


def at(fit: Fit, name: str, objective: str) -> float:
    (row,) = [row for row in fit.estimands if row.headline and (row.name, row.objective) == (name, objective)]
    assert row.at_bpb is not None
    return row.at_bpb


def test_overhead_is_that_of_the_law_counted_otherwise(recounted: tuple[str, str, Fit]) -> None:
    laid_by, read_by, fit = recounted
    default, other = fit.by_convention
    assert (default.convention, other.convention) == (DEFAULT, "6nd")
    assert other.largest_move > 1.5
    assert other.cells_in_frontier == 12
    for objective in ("ar", "mdm"):
        bpb = at(fit, "overhead", objective)
        assert value(default, "overhead", objective) == pytest.approx(np.exp(ln_k(objective, laid_by, bpb)), rel=0.002)
        assert value(other, "overhead", objective) == pytest.approx(np.exp(ln_k(objective, read_by, bpb)), rel=0.005)


def test_interaction_is_that_of_the_law_counted_otherwise(recounted: tuple[str, str, Fit]) -> None:
    laid_by, read_by, fit = recounted
    bpb = at(fit, "interaction", "mdm - ar")
    for found, cost, error in zip(fit.by_convention, (laid_by, read_by), (0.002, 0.005), strict=True):
        truth = ln_k("mdm", cost, bpb) - ln_k("ar", cost, bpb)
        assert value(found, "interaction", "mdm - ar") == pytest.approx(truth, abs=error)
    assert abs(ln_k("mdm", read_by, bpb) - ln_k("ar", read_by, bpb) - truth) < 1e-9


def test_runs_left_where_they_are_would_mislead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The move is what makes the answer right: not moved, the runs of a cell compare unequal compute."""
    rows = study("everything", "6nd")
    moved = conventions._moved

    def unmoved(rows: list[RunRow], name: str, slopes: conventions.Leads) -> list[RunRow]:
        return [to.model_copy(update={"bpb": row.bpb}) for row, to in zip(rows, moved(rows, name, slopes), strict=True)]

    monkeypatch.setattr(conventions, "_moved", unmoved)
    fit = fit_rows(rows, bootstraps=20)
    truth = np.exp(ln_k("mdm", "6nd", at(fit, "overhead", "mdm")))
    assert abs(value(fit.by_convention[1], "overhead", "mdm") / truth - 1) > 0.05


def test_the_default_is_the_fit_itself(noisy: Fit) -> None:
    default, *others = noisy.by_convention
    headlines = [row for row in noisy.estimands if row.headline]
    assert default.estimands[: len(headlines)] == headlines
    assert {row.name for row in default.estimands[len(headlines) :]} == {"parity"}
    assert default.bootstraps == noisy.bootstraps
    assert {other.bootstraps for other in others} == {conventions.BOOTSTRAPS}


def test_a_constant_factor_moves_parity_and_nothing_else(exact: Fit) -> None:
    """0.97 of the FLOPs in every run: the same k, and parity at 0.97 times the compute."""
    default, attended = exact.by_convention
    assert attended.convention == "attention=attended head=all"
    assert attended.largest_move == pytest.approx(1.0)
    for name, objective, factor in (
        ("overhead", "ar", 1.0),
        ("overhead", "mdm", 1.0),
        ("interaction", "mdm - ar", 1.0),
    ):
        assert value(attended, name, objective) == pytest.approx(factor * value(default, name, objective), rel=1e-6)
    parity = [
        row.quantity.value
        for found in (default, attended)
        for row in found.estimands
        if row.name == "parity" and row.objective == "ar"
    ]
    assert parity[1] / parity[0] == pytest.approx(0.97, rel=1e-3)


def test_intervals_are_as_wide_as_the_defaults() -> None:
    """The move neither adds noise nor hides any: in 150 studies 93 to 97 % of such intervals hold the truth."""
    widths: list[list[float]] = [[], []]
    for seed in range(4):
        fit = fit_rows(study("6nd", "everything", noise=0.005, seed=seed), bootstraps=150, seed=seed)
        for found, width in zip(fit.by_convention, widths, strict=True):
            width += [np.ptp(np.log(row.quantity.ci95)) for row in found.estimands if row.name == "overhead"]
    assert np.median(widths[1]) == pytest.approx(np.median(widths[0]), rel=0.4)


def test_an_arm_without_a_frontier_is_left_out_and_named() -> None:
    rows = [row for row in simulated_rows() if row.arm != "byte-mdm" or row.budget_flops == BUDGETS["byte-mdm"][0]]
    default, *others = fit_rows(rows, bootstraps=50).by_convention
    assert default.left_out == []
    for other in others:
        assert other.left_out == ["byte-mdm"]
        assert {row.objective for row in other.estimands} == {"ar"}


def test_rows_that_state_nothing_else_and_studies_without_a_headline() -> None:
    rows = [row.model_copy(update={"flops_by_convention": {}}) for row in simulated_rows()]
    assert [found.convention for found in fit_rows(rows, bootstraps=50).by_convention] == [DEFAULT]
    alone = [row for row in simulated_rows() if row.arm == "byte-ar"]
    assert fit_rows(alone, bootstraps=50).by_convention == []
