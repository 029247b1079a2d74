"""The algebra of bounds against brute force, and what an arm's budgets say of the compute at a loss."""

import itertools

import numpy as np
import pytest

from bytegap.fit.answers import loss_grid, overlap
from bytegap.fit.bounds import Known, Reach, Side
from bytegap.fit.draws import interval, quantity
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.fit.isoflop import fit_cells
from tests.studies import BUDGETS, LAWS, simulated_rows

SIDES: tuple[Side, ...] = ("", ">", "<")


def truths(bound: float, side: Side) -> list[float]:
    """Values that agree with a bound, near it and far."""
    return {"": [bound], ">": [bound + 0.1, bound + 100], "<": [bound - 0.1, bound - 100]}[side]


@pytest.mark.parametrize(("mine", "theirs"), list(itertools.product(SIDES, SIDES)))
def test_differences_of_bounds_hold_for_every_truth(mine: Side, theirs: Side) -> None:
    found = Known(np.array([3.0, 3.0]), mine).minus(Known(np.array([1.0, 2.0]), theirs))
    differences = [a - b for a in truths(3.0, mine) for b in truths(1.0, theirs)]
    both_ways = min(differences) < 2.0 < max(differences)
    assert (found is None) == both_ways
    if found:
        assert found.ln_K.tolist() == [2.0, 1.0]
        side = {0: "", 1: ">", -1: "<"}[int(np.sign(max(differences, key=lambda d: abs(d - 2.0)) - 2.0))]
        assert found.side == side


@pytest.fixture(scope="module")
def reach() -> Reach:
    rows = simulated_rows({"byte-ar": LAWS["byte-ar"]}, noise=0.0)
    arms = arms_of(rows, fit_cells(rows, 20, np.random.default_rng(0)).cells)
    curves, _ = fit_frontiers(arms)
    return Reach(arms[0], curves[0])


def test_compute_at_a_loss_is_seen_or_bounded_by_the_budgets(reach: Reach) -> None:
    law, (least, *_, most) = LAWS["byte-ar"], BUDGETS["byte-ar"]
    for flops, side, known in ((0.5 * least, "<", least), (4e13, "", 4e13), (2 * most, ">", most)):
        found = reach.ln_flops(law.bpb(flops))
        assert found is not None
        assert found.side == side
        assert found.ln_K[0] == pytest.approx(np.log(known), abs=0.15)


def test_without_a_frontier_bounds_remain(reach: Reach) -> None:
    blind = Reach(reach.arm, None)
    assert blind.ln_flops(LAWS["byte-ar"].bpb(4e13)) is None
    assert blind.ln_flops(LAWS["byte-ar"].bpb(1e15)).side == ">"


def test_interval_is_numpys_percentiles() -> None:
    draws = np.random.default_rng(1).standard_normal(2001)
    assert interval(draws) == pytest.approx(np.quantile(draws, [0.025, 0.975]))


def test_unknown_draws_could_lie_anywhere() -> None:
    draws = np.arange(1001.0)
    draws[:10] = np.nan
    low, high = interval(draws)
    assert (low, high) == (25.0, 1000.0 - 25.0 + 10.0)
    draws[:30] = np.nan
    assert interval(draws) is None
    assert quantity(np.array([np.nan, 1.0, 2.0])).value is None


def test_the_grid_of_losses_spans_all_and_holds_the_middle_of_the_overlap() -> None:
    ranges = [(1.0, 2.0), (1.5, 3.0)]
    grid = loss_grid(ranges)
    assert (grid[0], grid[-1]) == (1.0, 3.0)
    assert 1.75 in grid
    assert sum(1.5 <= bpb <= 2.0 for bpb in grid) == 9
    assert grid == sorted(set(grid))
    assert overlap([(1.0, 2.0), (2.5, 3.0)]) is None
    apart = loss_grid([(1.0, 2.03), (2.57, 3.0)])
    assert (apart[0], apart[-1]) == (1.0, 3.0)
    assert {1.0, 2.03, 2.57, 3.0} <= set(apart)
