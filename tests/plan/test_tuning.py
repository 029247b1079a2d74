"""The tuning audit's runs: which are asked for, round after round, until the best is bracketed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bytegap.plan import measure, stage, tuning
from bytegap.plan.grid import cell
from bytegap.plan.rules import learning_rate


@pytest.fixture
def arm(prepared):
    """(setting, the arm's planned runs, their validation BPB: the second size is best)."""
    _, study, folder = prepared
    setting = stage._settings(study, folder, measure.plain(study.compute))["byte-ar"]
    setting = replace(setting, arm=setting.arm.model_copy(update={"budgets": (3e11,)}))  # a batch of rows to halve
    runs = cell(setting, 3e11)
    bpb = {run.id: 2.0 + 0.1 * abs(place - 1) for place, run in enumerate(runs)}
    return setting, runs, bpb


def walk(setting, runs, bpb, valley):
    """Rounds until nothing is missing; the loss is a valley about `valley`, in log2 of (rate, batch)."""
    tuned, rounds = [], 0
    while added := tuning.missing(setting, runs, tuned, bpb):
        rounds += 1
        assert rounds < 10
        for run in added:
            assert run.spec.id not in {other.spec.id for other in tuned}
            bpb[run.spec.id] = 1.9 + 0.01 * math.hypot(run.rate - valley[0], run.batch - valley[1])
        tuned += added
    return tuned


def test_the_first_round_is_a_star(arm):
    setting, runs, bpb = arm
    added = tuning.missing(setting, runs, [], bpb)
    first = setting.study.seed
    star = {(power, 0) for power in (-1, -0.5, 0, 0.5, 1)} | {(0, power) for power in (-1, -0.5, 0.5, 1)}
    assert sorted((run.rate, run.batch, run.spec.seed) for run in added) == [
        (*place, seed) for place in sorted(star) for seed in range(first, first + tuning.FEWEST)
    ]
    assert {run.spec.non_embedding_parameters for run in added} == {runs[1].non_embedding_parameters}
    rule = next(run.spec for run in added if (run.rate, run.batch, run.spec.seed) == (0, 0, first))
    assert rule.id == runs[1].id  # the rule's own run is not trained twice


@pytest.mark.parametrize(("noise", "seeds"), [(0.0, 2), (0.006, 6), (0.1, tuning.MOST)])
def test_a_noisy_cell_gets_more_seeds(arm, noise, seeds):
    setting, runs, bpb = arm
    draw, moved = np.random.default_rng(0), np.random.default_rng(1).normal(0, 0.1, tuning.MOST + 9)
    tuned = []
    for _ in range(9):
        added = tuning.missing(setting, runs, tuned, bpb)
        for run in added:  # what a seed moves everywhere is no noise
            lost = moved[run.spec.seed] + noise * draw.standard_normal() + 0.01 * (run.rate**2 + run.batch**2)
            bpb[run.spec.id] = 2.0 * math.exp(lost)
        tuned += added
    assert not added
    found = {run.spec.seed for run in tuned}
    assert len(found) == pytest.approx(seeds, abs=2 * (0 < noise < 0.1))
    assert {run.spec.seed for run in tuned if (run.rate, run.batch) == (-1, 0)} == found


def test_a_batch_of_as_many_rows_is_asked_for_once(arm):
    setting, _, bpb = arm
    few = cell(setting, 2e10)
    setting = replace(setting, arm=setting.arm.model_copy(update={"budgets": (2e10,)}))
    bpb |= {run.id: 2.0 + 0.1 * place for place, run in enumerate(few)}
    added = tuning.missing(setting, few, [], bpb)
    assert few[0].rows_per_batch < 4, "or each place has rows of its own"
    rows = [run.spec.rows_per_batch for run in added if run.rate == 0 and run.spec.seed == setting.study.seed]
    assert len(rows) == len(set(rows)) < 5
    assert not tuning.missing(setting, few, added, bpb | {run.spec.id: 2.0 + abs(run.rate) for run in added})


def test_factors_are_off_the_rule_and_flops_stay(arm):
    setting, runs, bpb = arm
    for run in tuning.missing(setting, runs, [], bpb):
        spec = run.spec
        rule = learning_rate(spec.non_embedding_parameters)
        assert spec.optimiser.learning_rate == pytest.approx(2.0**run.rate * rule)
        assert spec.rows_per_batch == pytest.approx(2.0**run.batch * runs[1].rows_per_batch, rel=0.2)
        assert spec.flops == pytest.approx(spec.budget_flops, rel=0.01)


@pytest.mark.parametrize("valley", [(0, 0), (2, 0), (-2, 1)])
def test_an_axis_goes_on_until_its_best_is_bracketed(arm, valley):
    setting, runs, bpb = arm
    tuned = walk(setting, runs, bpb, valley)
    rates = {run.rate for run in tuned if run.batch == 0}
    assert {valley[0] - 1, valley[0], valley[0] + 1} <= rates
    batches = {run.batch for run in tuned if run.rate == 0}
    assert {valley[1] - 1, valley[1], valley[1] + 1} <= batches


def test_an_axis_ends(arm):
    setting, runs, bpb = arm
    tuned = walk(setting, runs, bpb, (9, 0))
    assert max(run.rate for run in tuned) == tuning.FARTHEST


def test_a_diverged_neighbour_brackets(arm):
    setting, runs, bpb = arm
    tuned = tuning.missing(setting, runs, [], bpb)
    one_seed = next(run.spec.id for run in tuned if run.rate == 1)
    bpb |= {run.spec.id: 1.9 - 0.1 * run.rate for run in tuned if run.spec.id != one_seed and not run.batch}
    bpb |= {run.spec.id: 3.0 for run in tuned if run.batch}
    assert not any(run.rate > 1 for run in tuning.missing(setting, runs, tuned, bpb))
