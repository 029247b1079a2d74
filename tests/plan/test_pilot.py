"""Pilots: each arm goes on until it has learned context, within the seconds; a pure function of the runs so far."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bytegap.autotune.backends import default_execution
from bytegap.fit.cells import LEARNS_CONTEXT_BPB
from bytegap.plan.contexts import arm_contexts
from bytegap.plan.grid import run_seed
from bytegap.plan.outlook import CONTEXT_BPB
from bytegap.plan.pilot import Allowance, PilotArm, is_done, next_cell, next_round
from bytegap.plan.rough_law import LEARNING_BPB
from bytegap.plan.throughput import Throughput
from bytegap.schema.pilot import SizeTiming

UNIGRAM_BPB = 4.0
TIMINGS = tuple(
    SizeTiming(non_embedding_parameters=params, step_s=0.002, sequence_s=params * 1e-7)
    for params in (2_000, 20_000, 200_000)
)


@pytest.fixture
def arms(tokenized):
    _, study, study_dir = tokenized
    contexts = arm_contexts(study, study_dir, default_execution(study.compute))
    return [PilotArm(context, UNIGRAM_BPB, Throughput(TIMINGS)) for context in contexts.values()]


def trained(runs, learns_at, best=8e3):
    """Validation BPB of runs of a world that is at its unigram below a compute, and then learns quickly."""

    def bpb(spec):
        gain = 0.45 * np.log(spec.flops / learns_at) + 0.6
        away = 0.03 * np.log(spec.non_embedding_parameters / best) ** 2
        return UNIGRAM_BPB - gain + away if spec.flops >= learns_at else UNIGRAM_BPB + 0.01

    return {spec.id: bpb(spec) for spec in runs}


def whole_pilot(arms, learns_at, allowed_s):
    runs = []
    while added := next_round(arms, runs, trained(runs, learns_at), Allowance(allowed_s, 2)):
        runs += added
    return runs


@pytest.mark.parametrize("learns_at", [1e9, 2e11])
def test_it_goes_on_until_context_is_learned(arms, learns_at):
    runs = whole_pilot(arms, learns_at, allowed_s=1e9)
    for arm in arms:
        own = [spec for spec in runs if spec.arm == arm.context.arm_name]
        budgets = sorted({spec.budget_flops for spec in own})
        bpb = trained(own, learns_at)
        learned = [
            budget
            for budget in budgets
            if min(bpb[spec.id] for spec in own if spec.budget_flops == budget) < UNIGRAM_BPB - LEARNING_BPB
        ]
        assert len(learned) >= 2
        assert budgets[-1] <= max(learns_at, budgets[0]) * 4**3
        assert all(later == pytest.approx(4 * earlier) for earlier, later in pairwise(budgets))
        assert is_done(arm, [(spec, bpb[spec.id]) for spec in own])


def test_seconds_are_kept_and_the_cheapest_arm_comes_first(arms):
    everything = whole_pilot(arms, 2e11, allowed_s=1e9)
    seconds = {spec.id: arms[0].throughput.seconds(spec) for spec in everything}
    allowed_s = 0.3 * sum(seconds.values())
    some = whole_pilot(arms, 2e11, allowed_s)
    assert 0 < sum(seconds[spec.id] for spec in some) <= allowed_s
    first = next_round(arms, [], {}, Allowance(1e9, 1000))
    by_arm = {spec.arm: sum(seconds[each.id] for each in first if each.arm == spec.arm) for spec in first}
    assert set(by_arm) == {arm.context.arm_name for arm in arms}
    assert list(by_arm.values()) == sorted(by_arm.values())
    cheapest = next_round(arms, [], {}, Allowance(1.01 * min(by_arm.values()), 1000))
    assert {spec.arm for spec in cheapest} == {min(by_arm, key=lambda arm: by_arm[arm])}
    assert next_round(arms, [], {}, Allowance(0.0, 1000)) == []


def test_a_round_gives_every_worker_a_run_and_every_arm_its_turn(arms):
    one = next_round(arms, [], {}, Allowance(1e9, 2))
    assert len({(spec.arm, spec.budget_flops) for spec in one}) == 1
    assert len(next_round(arms, [], {}, Allowance(1e9, len(one) + 1))) > len(one)
    two = next_round(arms, one, trained(one, 2e11), Allowance(1e9, 2))
    assert {spec.arm for spec in two}.isdisjoint(spec.arm for spec in one), "before the first arm's second cell"


def test_sizes_of_a_cell_share_no_seed_with_each_other_or_a_plan(arms):
    cell = next_cell(arms[0], [], {})
    assert len({spec.seed for spec in cell}) == len(cell)
    study, context = arms[0].context.study, arms[0].context
    planned = {run_seed(study.seed, repetition, size) for repetition in range(40) for size in range(20)}
    assert planned.isdisjoint(spec.seed for spec in cell)
    assert [context.size_index(spec.non_embedding_parameters) for spec in cell] == [spec.seed % 1000 for spec in cell]


def test_an_arm_that_never_learns_ends(arms):
    runs = whole_pilot(arms, 1e30, allowed_s=1e30)
    assert {len({spec.budget_flops for spec in runs if spec.arm == arm.context.arm_name}) for arm in arms} == {8}


def test_runs_that_failed_do_not_repeat(arms):
    first = next_cell(arms[0], [], {})
    again = next_cell(arms[0], first, {})
    assert {spec.budget_flops for spec in again} == {4 * first[0].budget_flops}
    assert {spec.id for spec in first}.isdisjoint(spec.id for spec in again)


def test_an_arm_whose_best_size_is_at_an_edge_is_not_done(arms):
    runs = whole_pilot(arms, 1e9, allowed_s=1e9)
    own = [spec for spec in runs if spec.arm == arms[0].context.arm_name]
    assert is_done(arms[0], [(spec, trained(own, 1e9)[spec.id]) for spec in own])
    two_budgets = sorted({spec.budget_flops for spec in own})[:2]
    largest_best = [
        (spec, 3.0 - 1e-7 * spec.non_embedding_parameters) for spec in own if spec.budget_flops in two_budgets
    ]
    assert not is_done(arms[0], largest_best)


def test_seconds_follow_from_the_timings(arms):
    spec = next_cell(arms[0], [], {})[0].model_copy(
        update={"non_embedding_parameters": 20_000, "steps": 100, "batch_size": 3}
    )
    throughput = Throughput(TIMINGS, slowdown=1.5, evaluate_sequences=1000.0)
    assert throughput.seconds(spec) == pytest.approx(1.5 * 100 * (0.002 + 3 * 0.002) + 1000 * 0.002)
    larger = spec.model_copy(update={"non_embedding_parameters": 2_000_000})
    assert replace(throughput, evaluate_sequences=0.0).seconds(larger) == pytest.approx(
        1.5 * 100 * (0.02 + 3 * 0.2), rel=1e-9
    )


def test_context_is_learned_where_the_fit_says_so():
    assert CONTEXT_BPB == LEARNS_CONTEXT_BPB
