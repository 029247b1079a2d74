"""Estimates under other conventions, against brute force, of studies planned by one count and fitted by another."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from bytegap.fit import conventions
from bytegap.fit.stage import fit_rows
from bytegap.scaling import laws
from bytegap.schema.fit import ConventionResult, Fit
from bytegap.schema.runs import RunRow
from tests.helpers.synthetic_runs import BUDGETS, LAWS, simulated_rows, with_bpb

Cost = Callable[[str, float], float]
"""Training FLOPs per token of (arm, non-embedding parameters)."""
DEFAULT = "attention=full head=all"
RAISED = {arm: tuple(12 * flops for flops in budgets) for arm, budgets in BUDGETS.items()}
"""Attention and heads cost compute too, and the arms must still learn context."""
DEPTH = 2
CONTEXT = {"byte": 512, "bpe512": 128}
HEAD = {"byte": 259, "bpe512": 8195}
"""Ids of the head: a larger vocabulary than the arms' names say, so that its cost affects one arm only."""


def six(_arm: str, parameters: float) -> float:
    return 6 * parameters


def everything(arm: str, parameters: float) -> float:
    """6N, maps of every layer and a head, of a Transformer with 12 width^2 parameters a layer."""
    tokenizer = arm.partition("-")[0]
    width = (parameters / (12 * DEPTH)) ** 0.5
    return 6 * parameters + 12 * DEPTH * CONTEXT[tokenizer] * width + 6 * HEAD[tokenizer] * width


COSTS = {"6nd": six, "everything": everything}


@functools.cache
def best(arm: str, cost: str, ln_flops: float) -> tuple[float, float]:
    """(ln N, L) of the lowest loss at a compute, by minimisation over N: a grid, then its best bracket."""
    law = LAWS[arm]

    def loss(ln_size: float) -> float:
        tokens = np.exp(ln_flops) / COSTS[cost](arm, np.exp(ln_size))
        return float(laws.chinchilla_bpb(np.exp(ln_size), tokens, law.irreducible_loss, law.amplitudes, law.exponents))

    grid = np.linspace(0, 24, 200)
    at = int(np.argmin([loss(x) for x in grid]))
    found = minimize_scalar(loss, bounds=(grid[at - 1], grid[at + 1]), method="bounded", options={"xatol": 1e-8})
    return float(found.x), float(found.fun)


def ln_k(objective: str, cost: str, bpb: float) -> float:
    byte, other = (
        brentq(lambda x, arm=f"{tokenizer}-{objective}": best(arm, cost, x)[1] - bpb, 24, 45)
        for tokenizer in ("byte", "bpe512")
    )
    return byte - other


def study(planned_by: str, fitted_by: str, *, noise: float = 0.0, seed: int = 0) -> list[RunRow]:
    """Runs that cost their budget by one count; the other count is recorded as `6nd`, whichever it is."""
    rng = np.random.default_rng(seed)
    rows: list[RunRow] = []
    for row in simulated_rows(noise=0.0, budgets=RAISED):
        law, flops = LAWS[row.arm], row.budget_flops
        centre, _ = best(row.arm, planned_by, np.log(flops))
        middle, _ = laws.chinchilla_optimum(flops, law.amplitudes, law.exponents)
        parameters = round(row.non_embedding_parameters / float(middle) * np.exp(centre))
        tokens = flops / COSTS[planned_by](row.arm, parameters)
        bpb = float(laws.chinchilla_bpb(parameters, tokens, law.irreducible_loss, law.amplitudes, law.exponents))
        changed = {
            "non_embedding_parameters": parameters,
            "tokens": round(tokens),
            "bpb_se": 0.0,
            "flops_by_convention": {DEFAULT: flops, "6nd": tokens * COSTS[fitted_by](row.arm, parameters)},
        }
        rows.append(with_bpb(row, bpb * float(np.exp(noise * rng.standard_normal())), **changed))
    return rows


@pytest.fixture(scope="module", params=[("everything", "6nd"), ("6nd", "everything")], ids="->".join)
def two_conventions(request: pytest.FixtureRequest) -> tuple[str, str, Fit]:
    planned_by, fitted_by = request.param
    return planned_by, fitted_by, fit_rows(study(planned_by, fitted_by), bootstraps=20)


def value(found: ConventionResult, name: str, objective: str) -> float:
    (row,) = [row for row in found.estimands if (row.name, row.objective) == (name, objective)]
    assert row.label == "estimated"
    assert row.quantity.value is not None
    return row.quantity.value


def at(fit: Fit, name: str, objective: str) -> float:
    (row,) = [row for row in fit.estimands if row.headline and (row.name, row.objective) == (name, objective)]
    assert row.at_bpb is not None
    return row.at_bpb


def test_overhead_under_another_convention_matches_the_law(two_conventions: tuple[str, str, Fit]) -> None:
    planned_by, fitted_by, fit = two_conventions
    default, other = fit.by_convention
    assert (default.convention, other.convention) == (DEFAULT, "6nd")
    assert other.largest_adjustment > 1.5
    assert other.cells_in_frontier == 12
    for objective in ("ar", "mdm"):
        bpb = at(fit, "overhead", objective)
        assert value(default, "overhead", objective) == pytest.approx(
            np.exp(ln_k(objective, planned_by, bpb)), rel=0.002
        )
        assert value(other, "overhead", objective) == pytest.approx(np.exp(ln_k(objective, fitted_by, bpb)), rel=0.005)


def test_interaction_under_another_convention_matches_the_law(two_conventions: tuple[str, str, Fit]) -> None:
    planned_by, fitted_by, fit = two_conventions
    bpb = at(fit, "interaction", "mdm - ar")
    for found, cost, error in zip(fit.by_convention, (planned_by, fitted_by), (0.002, 0.005), strict=True):
        truth = ln_k("mdm", cost, bpb) - ln_k("ar", cost, bpb)
        assert value(found, "interaction", "mdm - ar") == pytest.approx(truth, abs=error)
    assert abs(ln_k("mdm", fitted_by, bpb) - ln_k("ar", fitted_by, bpb) - truth) < 1e-9


def test_without_adjustment_the_overhead_is_biased(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the adjustment, the runs of a cell have unequal compute."""
    rows = study("everything", "6nd")
    adjusted = conventions._adjusted

    def unadjusted(rows: list[RunRow], name: str, slopes: conventions.FrontierByArm) -> list[RunRow]:
        return [
            to.model_copy(update={"bpb": row.bpb}) for row, to in zip(rows, adjusted(rows, name, slopes), strict=True)
        ]

    monkeypatch.setattr(conventions, "_adjusted", unadjusted)
    fit = fit_rows(rows, bootstraps=20)
    truth = np.exp(ln_k("mdm", "6nd", at(fit, "overhead", "mdm")))
    assert abs(value(fit.by_convention[1], "overhead", "mdm") / truth - 1) > 0.05


def test_first_convention_result_is_the_fit_itself(noisy: Fit) -> None:
    default, *others = noisy.by_convention
    headlines = [row for row in noisy.estimands if row.headline]
    assert list(default.estimands[: len(headlines)]) == headlines
    assert {row.name for row in default.estimands[len(headlines) :]} == {"parity"}
    assert default.bootstraps == noisy.bootstraps
    assert {other.bootstraps for other in others} == {conventions.BOOTSTRAPS}


def test_a_constant_factor_of_compute_changes_only_parity(exact: Fit) -> None:
    """0.97 of the FLOPs in every run: the same k, and parity at 0.97 times the compute."""
    default, attended = exact.by_convention
    assert attended.convention == "attention=attended head=all"
    assert attended.largest_adjustment == pytest.approx(1.0)
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


def test_convention_intervals_are_as_wide_as_the_defaults() -> None:
    """The adjustment neither adds noise nor hides any: in 150 studies 93 to 97 % of such intervals cover the truth."""
    widths: list[list[float]] = [[], []]
    for seed in range(4):
        fit = fit_rows(study("6nd", "everything", noise=0.005, seed=seed), bootstraps=150, seed=seed)
        for found, width in zip(fit.by_convention, widths, strict=True):
            width += [np.ptp(np.log(row.quantity.ci95)) for row in found.estimands if row.name == "overhead"]
    assert np.median(widths[1]) == pytest.approx(np.median(widths[0]), rel=0.4)


def test_arms_without_a_frontier_are_listed_as_excluded() -> None:
    rows = [row for row in simulated_rows() if row.arm != "byte-mdm" or row.budget_flops == BUDGETS["byte-mdm"][0]]
    default, *others = fit_rows(rows, bootstraps=50).by_convention
    assert default.excluded_arms == ()
    for other in others:
        assert other.excluded_arms == ("byte-mdm",)
        assert {row.objective for row in other.estimands} == {"ar"}


def test_rows_with_one_convention_and_studies_without_a_headline() -> None:
    rows = [row.model_copy(update={"flops_by_convention": {}}) for row in simulated_rows()]
    assert [found.convention for found in fit_rows(rows, bootstraps=50).by_convention] == [DEFAULT]
    alone = [row for row in simulated_rows() if row.arm == "byte-ar"]
    assert fit_rows(alone, bootstraps=50).by_convention == ()
