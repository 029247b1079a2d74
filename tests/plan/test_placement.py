"""Placements in worlds of known laws: minima bracketed, losses shared, seconds kept, what is promised kept."""

from dataclasses import replace

import numpy as np
import pytest

from bytegap.plan import placement
from bytegap.plan.outlook import CONTEXT_BPB, CellGrid
from bytegap.plan.placement import COMMON_BPB, LARGEST_RATIO, LEAST_BUDGETS, budgets_for_band
from tests.helpers.rough_worlds import ARMS, is_bracketed, piloted, prospect, world

WORLDS = 10
HOURS = 10.0


@pytest.fixture(scope="module")
def placed():
    """(true laws, outlooks, placement) of some simulated pilots."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(WORLDS):
        truth = world(rng)
        own = prospect(piloted(truth, rng))
        found.append((truth, own.outlooks(HOURS), own.placement(HOURS)))
    return found


def cells(placed):
    """(true law, outlook, budget index) of every cell."""
    for truth, outlooks, chosen in placed:
        for law, own, indices in zip(truth, outlooks, chosen.budgets, strict=True):
            yield from ((law, own, index) for index in indices)


def test_true_minima_are_bracketed(placed):
    found = [is_bracketed(law, own.sizings[index].sizes, own.flops_B[index]) for law, own, index in cells(placed)]
    assert len(found) >= LEAST_BUDGETS * len(ARMS) * WORLDS
    assert np.mean(found) >= 0.95


def test_true_losses_are_below_the_unigram(placed):
    gap = [law.unigram_bpb - law.bpb(own.flops_B[[index]])[0, 0] for law, own, index in cells(placed)]
    assert np.mean(np.array(gap) >= CONTEXT_BPB) >= 0.95


def test_true_losses_are_shared(placed):
    shared = []
    for truth, outlooks, chosen in placed:
        bpb = [
            law.bpb(own.flops_B[list(indices)])[0]
            for law, own, indices in zip(truth, outlooks, chosen.budgets, strict=True)
        ]
        shared.append(min(own.max() for own in bpb) - max(own.min() for own in bpb))
    assert np.mean(np.array(shared) >= COMMON_BPB) >= 0.9


def test_seconds_and_ratios_are_kept(placed):
    for _, outlooks, chosen in placed:
        assert chosen.seconds <= 2 * 3600 * HOURS
        for own, indices in zip(outlooks, chosen.budgets, strict=True):
            ratios = np.exp(np.diff(np.log(own.flops_B[list(indices)])))
            assert len(indices) >= LEAST_BUDGETS
            assert ratios.max() <= LARGEST_RATIO * 1.05  # budgets have two digits
            assert all(len(own.sizings[index].sizes) == 5 for index in indices)


def test_promises_are_kept_on_average(placed):
    """The interaction is promised no oftener than it is true: the promise rests on draws, the truth on the laws."""
    assert np.mean([chosen.identified[2] for _, _, chosen in placed]) == pytest.approx(0.75, abs=0.2)


def test_more_hours_are_never_less_precise():
    rng = np.random.default_rng(1)
    own = prospect(piloted(world(rng), rng))
    placements = [own.placement(hours) for hours in (0.25, 1.0, 4.0, 16.0)]
    precision = [each.precision for each in placements]
    assert precision[0] < precision[1] < precision[2] < precision[3]
    assert placements[0].identified[2] < 0.1, "a quarter of an hour shows nothing about the interaction"
    assert placements[0].identified[0] > 0.9, "it does show the overhead under AR"


@pytest.mark.parametrize(("precision_of_four", "expected"), [(0.9, 4), (0.7, 3)])
def test_four_budgets_are_taken_where_they_keep_most_of_the_precision(monkeypatch, precision_of_four, expected):
    some = prospect(world()).placement(0.1)
    found = {
        3: replace(some, budgets=((0, 1, 2),), precision=1.0),
        4: replace(some, budgets=((0, 1, 2, 3),), precision=precision_of_four),
    }
    monkeypatch.setattr(placement, "_best_of", lambda *args: found[args[-1]])
    assert len(placement.best_placement([], [], 1.0).budgets[0]) == expected


def test_hours_for_nothing_give_no_promise():
    own = prospect(world())
    chosen = own.placement(1e-5)
    assert chosen.identified == (0.0, 0.0, 0.0)
    assert chosen.seconds <= 2 * 3600 * 1e-5


def outlook_of(law, runs):
    """Of byte-MDM, whose law is given, with so many runs of each size and sizes next to each other."""
    others = world()
    return replace(prospect([*others[:2], law, others[3]]), grid=CellGrid(5, 1, runs)).outlooks(HOURS)[2]


def test_repeats_of_a_study_make_minima_more_precise():
    """As precise as the mean of their runs is; and noise that hides a curvature from one run does not from nine."""
    law = world()[2]
    one, three = outlook_of(law, 1), outlook_of(law, 3)
    pairs = [
        pair for pair in zip(one.sizings, three.sizings, strict=True) if all(pair) and pair[0].sizes == pair[1].sizes
    ]
    assert len(pairs) > 10
    for single, repeated in pairs:
        assert repeated.ln_bpb_sd == pytest.approx(single.ln_bpb_sd / 3**0.5)
        assert repeated.seconds == pytest.approx(3 * single.seconds)
    noisy = replace(law, noise=0.02)
    assert outlook_of(noisy, 1).usable_KB.sum() == 0 < outlook_of(noisy, 9).usable_KB.sum()


@pytest.mark.parametrize("share", [0.5, 0.1], ids=["middle", "towards the lower end"])
def test_the_promised_width_is_what_straight_lines_through_minima_scatter(share):
    """Minima are simulated, lines fitted to them, and compute read off at the loss: an independent way to the width."""
    own = prospect(world()).outlooks(HOURS)[0]
    index = budgets_for_band(own, (2.7, 3.6), 4, 0.0)
    ends = np.log(own.bpb_KB[0, [index[-1], index[0]]])
    ln_bpb = ends[0] + share * (ends[1] - ends[0])
    promised = placement._ln_flops_variance(own, index, np.exp([ln_bpb]))[0]
    x, sd = np.log(own.flops_B[list(index)]), own.ln_bpb_sd_B[list(index)]
    rng, ln_flops = np.random.default_rng(0), []
    for _ in range(2000):
        noisy = np.log(own.bpb_KB[0, list(index)]) + sd * rng.standard_normal(len(index))
        slope, intercept = np.polyfit(x, noisy, 1, w=1 / sd)
        ln_flops.append((ln_bpb - intercept) / slope)
    assert np.std(ln_flops) == pytest.approx(promised**0.5, rel=0.15)


def test_a_change_of_budgets_keeps_their_number_and_ratios():
    own = prospect(world()).outlooks(HOURS)[0]
    most = placement._largest_shift(own)
    assert own.flops_B[most] / own.flops_B[0] == pytest.approx(LARGEST_RATIO, rel=0.05)
    assert placement._is_allowed(own, {20, 20 + most, 20 + 2 * most}, most, 3)
    assert not placement._is_allowed(own, {20, 20 + most, 21 + 2 * most}, most, 3), "further apart than allowed"
    assert not placement._is_allowed(own, {20, 20 + most}, most, 3), "too few"
    assert not placement._is_allowed(own, {20, 20 + most, 20 + 2 * most}, most, 4), "too few"
    assert not placement._is_allowed(own, {-1, 1, 2}, most, 3)
    assert not placement._is_allowed(own, {len(own.flops_B) - step for step in (0, 1, 2)}, most, 3)
