"""Differences of bounds against brute force, compute bounded by budgets, percentile intervals, the loss grid."""

import itertools

import numpy as np
import pytest

from bytegap.fit.cells import fit_cells
from bytegap.fit.censoring import ArmFrontier, BoundedLog, Side
from bytegap.fit.estimand_builder import loss_grid, overlap
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.scaling.bootstrap import interval, quantity
from tests.helpers.synthetic_runs import BUDGETS, LAWS, simulated_rows

SIDES: tuple[Side, ...] = ("", ">", "<")


def truths(bound: float, side: Side) -> list[float]:
    """Values that agree with a bound, near it and far."""
    return {"": [bound], ">": [bound + 0.1, bound + 100], "<": [bound - 0.1, bound - 100]}[side]


@pytest.mark.parametrize(("mine", "theirs"), list(itertools.product(SIDES, SIDES)))
def test_bounded_log_differences_hold_for_all_values_within_the_bounds(mine: Side, theirs: Side) -> None:
    found = BoundedLog(np.array([3.0, 3.0]), mine).subtract(BoundedLog(np.array([1.0, 2.0]), theirs))
    differences = [a - b for a in truths(3.0, mine) for b in truths(1.0, theirs)]
    unbounded = min(differences) < 2.0 < max(differences)
    assert (found is None) == unbounded
    if found:
        assert found.ln_K.tolist() == [2.0, 1.0]
        side = {0: "", 1: ">", -1: "<"}[int(np.sign(max(differences, key=lambda d: abs(d - 2.0)) - 2.0))]
        assert found.side == side


@pytest.fixture(scope="module")
def arm_frontier() -> ArmFrontier:
    rows = simulated_rows({"byte-ar": LAWS["byte-ar"]}, noise=0.0)
    arms = arms_of(rows, fit_cells(rows, 20, np.random.default_rng(0)).cells)
    curves, _ = fit_frontiers(arms)
    return ArmFrontier(arms[0], curves[0])


def test_arm_frontier_compute_is_observed_or_bounded_by_the_budgets(arm_frontier: ArmFrontier) -> None:
    law, (least, *_, most) = LAWS["byte-ar"], BUDGETS["byte-ar"]
    for flops, side, known in ((0.5 * least, "<", least), (4e13, "", 4e13), (2 * most, ">", most)):
        found = arm_frontier.ln_flops(law.bpb(flops))
        assert found is not None
        assert found.side == side
        assert found.ln_K[0] == pytest.approx(np.log(known), abs=0.15)


def test_arm_without_frontier_still_gives_bounds(arm_frontier: ArmFrontier) -> None:
    without = ArmFrontier(arm_frontier.arm, None)
    assert without.ln_flops(LAWS["byte-ar"].bpb(4e13)) is None
    assert without.ln_flops(LAWS["byte-ar"].bpb(1e15)).side == ">"


def test_interval_matches_numpy_quantiles() -> None:
    draws = np.random.default_rng(1).standard_normal(2001)
    assert interval(draws) == pytest.approx(np.quantile(draws, [0.025, 0.975]))


def test_interval_counts_nan_draws_at_both_ends() -> None:
    draws = np.arange(1001.0)
    draws[:10] = np.nan
    low, high = interval(draws)
    assert (low, high) == (25.0, 1000.0 - 25.0 + 10.0)
    draws[:30] = np.nan
    assert interval(draws) is None
    assert quantity(np.array([np.nan, 1.0, 2.0])).value is None


def test_loss_grid_spans_all_ranges_and_includes_the_middle_of_their_overlap() -> None:
    ranges = [(1.0, 2.0), (1.5, 3.0)]
    grid = loss_grid(ranges)
    assert (grid[0], grid[-1]) == (1.0, 3.0)
    assert 1.75 in grid
    assert sum(1.5 <= bpb <= 2.0 for bpb in grid) == 9
    assert grid == sorted(set(grid))
    assert overlap([(1.0, 2.0), (2.5, 3.0)]) is None
    disjoint = loss_grid([(1.0, 2.03), (2.57, 3.0)])
    assert (disjoint[0], disjoint[-1]) == (1.0, 3.0)
    assert {1.0, 2.03, 2.57, 3.0} <= set(disjoint)
