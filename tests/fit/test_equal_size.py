"""Equal N: ratio of optimal sizes at equal loss and gap at equal size, against the laws' own optima."""

import numpy as np
import pytest
from scipy.optimize import brentq

from bytegap.fit.cells import fit_cells
from bytegap.fit.equal_size import equal_size, size_line
from bytegap.fit.frontiers import arms_of
from bytegap.fit.stage import fit_rows
from bytegap.schema.fit import Estimand, Fit
from tests.helpers.synthetic_runs import BUDGETS, LAWS, simulated_rows


def rows(fit: Fit, name: str) -> list[Estimand]:
    found = [row for row in fit.estimands if row.name == name]
    assert found
    return found


def ln_size(arm: str, bpb: float) -> float:
    """ln N of the law's optimal model at a loss."""
    law = LAWS[arm]
    return float(np.log(law.optimum(law.flops(bpb))))


def bpb_at(arm: str, parameters: float) -> float:
    return brentq(lambda bpb: ln_size(arm, bpb) - np.log(parameters), 1.2, 6.0)


def test_size_ratio_matches_the_laws_optima(exact: Fit) -> None:
    for row in rows(exact, "size_ratio"):
        truth = ln_size(row.arms[0], row.at_bpb) - ln_size(row.arms[1], row.at_bpb)
        assert np.log(row.quantity.value) == pytest.approx(truth, abs=0.05)
        assert (row.form, row.label, row.headline) == ("minima", "estimated", False)


def test_size_gap_matches_the_laws(exact: Fit) -> None:
    for row in rows(exact, "size_gap"):
        byte, other = (bpb_at(arm, row.at_parameters) for arm in row.arms)
        assert row.quantity.value == pytest.approx(byte - other, abs=0.03)


def test_estimands_stay_within_what_both_arms_were_observed_at(exact: Fit) -> None:
    for row in rows(exact, "size_ratio"):
        ranges = [[cell.optimum_bpb.value for cell in exact.cells if cell.arm == arm] for arm in row.arms]
        assert max(map(min, ranges)) <= row.at_bpb <= min(map(max, ranges))
    for row in rows(exact, "size_gap"):
        ranges = [[cell.optimum_parameters.value for cell in exact.cells if cell.arm == arm] for arm in row.arms]
        assert 0.98 * max(map(min, ranges)) <= row.at_parameters <= 1.02 * min(map(max, ranges))


def test_the_line_is_a_weighted_least_squares_fit() -> None:
    found = simulated_rows({"byte-ar": LAWS["byte-ar"]}, {"byte-ar": (1e13, 2e13, 4e13, 8e13)}, noise=0.01)
    cells = fit_cells(found, 50, np.random.default_rng(0)).cells
    (arm,) = arms_of(found, cells)
    line = size_line(arm, cells)
    deviation = [cell.ln_size_K[1:].std() for cell in cells]
    assert max(deviation) > 1.2 * min(deviation)
    for draw in (0, 7):
        x, y = ([getattr(cell, name)[draw] for cell in cells] for name in ("ln_bpb_K", "ln_size_K"))
        slope, intercept = np.polyfit(x, y, 1, w=1 / np.array(deviation))
        assert line.slope_K[draw] == pytest.approx(slope, rel=1e-9)
        assert line.intercept_K[draw] == pytest.approx(intercept, rel=1e-9)


def test_intervals_cover_the_truth() -> None:
    hits: list[bool] = []
    for seed in range(40):
        found = simulated_rows(seed=seed)
        cells = fit_cells(found, 200, np.random.default_rng(seed)).cells
        for row in equal_size(arms_of(found, cells), cells):
            if row.name == "size_ratio":
                truth = np.exp(ln_size(row.arms[0], row.at_bpb) - ln_size(row.arms[1], row.at_bpb))
                hits.append(row.quantity.ci95[0] <= truth <= row.quantity.ci95[1])
    assert len(hits) == 400
    assert np.mean(hits) >= 0.85


def test_no_equal_size_for_arms_of_one_budget_or_without_common_sizes() -> None:
    budgets = BUDGETS | {"byte-ar": BUDGETS["byte-ar"][:1], "byte-mdm": (4e15, 8e15), "bpe512-mdm": (1e13, 2e13)}
    fit = fit_rows(simulated_rows(LAWS, budgets), bootstraps=20)
    assert not [row for row in fit.estimands if row.name in {"size_ratio", "size_gap"}]
