"""Which runs the tuning audit adds, round after round, until the best setting is bracketed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bytegap.autotune.backends import default_execution
from bytegap.plan.grid import isoflop_cell, resolve_run, run_seed
from bytegap.plan.hyperparameters import RULE, Setting, learning_rate
from bytegap.plan.stage import arm_contexts
from bytegap.tuning.design import MAX_OCTAVES, MAX_SEEDS, MIN_SEEDS, best_size, missing_runs, setting_of


@pytest.fixture
def arm(tokenized):
    """(context, the arm's planned runs, their validation BPB: the second size is best)."""
    _, study, study_dir = tokenized
    context = arm_contexts(study, study_dir, default_execution(study.compute))["byte-ar"]
    context = replace(context, arm=context.arm.model_copy(update={"budgets": (3e11,)}))  # batches large enough to halve
    runs = isoflop_cell(context, 3e11)
    bpb = {run.id: 2.0 + 0.1 * abs(i - 1) for i, run in enumerate(runs)}
    return context, runs, bpb


def missing(context, runs, tuned, bpb):
    return missing_runs(context, runs, tuned, bpb, context.arm.budgets)


def audit(context, runs, bpb, minimum):
    """Rounds until nothing is missing; the loss has its minimum at `minimum`, log2 of (learning rate, batch size).

    A third number is the best factor on weight decay.
    """
    minimum = (*minimum, 1.0)[:3]
    tuned, rounds = [], 0
    while added := missing(context, runs, tuned, bpb):
        rounds += 1
        assert rounds < 10
        for run in added:
            assert run.spec.id not in {other.spec.id for other in tuned}
            decay = math.log((1 + run.weight_decay) / (1 + minimum[2]))
            bpb[run.spec.id] = 1.9 + 0.01 * math.hypot(run.rate - minimum[0], run.batch - minimum[1], decay)
        tuned += added
    return tuned


def test_the_first_round_varies_one_hyperparameter_at_a_time(arm):
    context, runs, bpb = arm
    added = missing(context, runs, [], bpb)
    size = context.size_index(runs[1].non_embedding_parameters)
    seeds = [run_seed(context.study.seed, repetition, size) for repetition in range(MIN_SEEDS)]
    star = {(log2, 0, 1) for log2 in (-1, -0.5, 0, 0.5, 1)} | {(0, log2, 1) for log2 in (-1, -0.5, 0.5, 1)}
    star |= {(0, 0, factor) for factor in (0, 0.3, 3)}
    assert sorted((run.rate, run.batch, run.weight_decay, run.spec.seed) for run in added) == [
        (*setting, seed) for setting in sorted(star) for seed in seeds
    ]
    assert len(added) == 24, "as the help of the verb says"
    assert {run.spec.non_embedding_parameters for run in added} == {runs[1].non_embedding_parameters}
    rule = next(run.spec for run in added if setting_of(run) == RULE and run.spec.seed == seeds[0])
    assert rule.id == runs[1].id, "the rule's own run is not trained twice"


@pytest.mark.parametrize(("noise", "seeds"), [(0.0, 2), (0.006, 6), (0.1, MAX_SEEDS)])
def test_a_noisy_cell_gets_more_seeds(arm, noise, seeds):
    found = [len(seeds_of_audit(arm, noise, np.random.default_rng(draw))) for draw in range(8 if noise else 1)]
    assert np.mean(found) == pytest.approx(seeds, abs=1.5 * (0 < noise < 0.1))


def seeds_of_audit(arm, noise, draw):
    """The seeds of a finished audit whose runs scatter so much; the effect of a seed on all settings is not noise."""
    context, runs, bpb = arm
    bpb = bpb | {run.id: 9.0 for run in runs if run is not runs[1]}  # or the best size moves with the noise
    tuned = []
    for _ in range(9):
        added = missing(context, runs, tuned, bpb)
        for run in added:
            seed_effect = np.random.default_rng(run.spec.seed).normal(0, 0.1)
            lost = seed_effect + noise * draw.standard_normal() + 0.01 * (run.rate**2 + run.batch**2)
            lost += 0.01 * abs(run.weight_decay - 1)
            bpb[run.spec.id] = 2.0 * math.exp(lost)
        tuned += added
    assert not added
    found = {run.spec.seed for run in tuned}
    assert {run.spec.seed for run in tuned if (run.rate, run.batch) == (-1, 0)} == found
    return found


def test_settings_that_round_to_the_same_batch_size_are_trained_once(arm):
    context, _, bpb = arm
    few = isoflop_cell(context, 2e10)
    context = replace(context, arm=context.arm.model_copy(update={"budgets": (2e10,)}))
    bpb |= {run.id: 2.0 + 0.1 * i for i, run in enumerate(few)}
    added = missing(context, few, [], bpb)
    assert few[0].batch_size < 4, "or each setting has a batch size of its own"
    first = [run for run in added if run.spec.seed == added[0].spec.seed]
    batches = [run.spec.batch_size for run in first if (run.rate, run.weight_decay) == (0, 1)]
    assert len(batches) == len(set(batches)) < 5
    assert not missing(
        context, few, added, bpb | {run.spec.id: 2.0 + abs(run.rate) + abs(run.weight_decay - 1) for run in added}
    )


def test_settings_are_factors_on_the_rule_at_equal_flops(arm):
    context, runs, bpb = arm
    for run in missing(context, runs, [], bpb):
        spec = run.spec
        rule = learning_rate(spec.non_embedding_parameters)
        assert spec.optimizer.learning_rate == pytest.approx(2.0**run.rate * rule)
        assert spec.batch_size == pytest.approx(2.0**run.batch * runs[1].batch_size, rel=0.2)
        assert spec.optimizer.weight_decay == pytest.approx(0.1 * run.weight_decay)
        assert spec.flops == pytest.approx(spec.budget_flops, rel=0.01)


@pytest.mark.parametrize("minimum", [(0, 0), (2, 0), (-2, 1)])
def test_an_axis_grows_until_its_best_setting_is_bracketed(arm, minimum):
    tuned = audit(*arm, minimum)
    rates = {run.rate for run in tuned if run.batch == 0}
    assert {minimum[0] - 1, minimum[0], minimum[0] + 1} <= rates
    batches = {run.batch for run in tuned if run.rate == 0}
    assert {minimum[1] - 1, minimum[1], minimum[1] + 1} <= batches


@pytest.mark.parametrize(
    ("best", "tried"),
    [(0, {0, 0.3, 1, 3}), (1, {0, 0.3, 1, 3}), (3, {0, 0.3, 1, 3, 7}), (7, {0, 0.3, 1, 3, 7, 15})],
)
def test_weight_decay_grows_until_its_best_is_bracketed(arm, best, tried):
    tuned = audit(*arm, (0, 0, best))
    assert {run.weight_decay for run in tuned} == tried
    assert {setting_of(run) for run in tuned if run.weight_decay != 1} == {
        Setting(weight_decay_factor=factor) for factor in tried - {1}
    }


def test_only_the_budgets_that_are_named_are_audited(arm):
    context, _, bpb = arm
    context = replace(context, arm=context.arm.model_copy(update={"budgets": (1e11, 2e11, 3e11)}))
    runs = [run for budget in context.arm.budgets for run in isoflop_cell(context, budget)]
    bpb |= {run.id: 2.0 for run in runs}
    assert {run.spec.budget_flops for run in missing_runs(context, runs, [], bpb, [2e11])} == {2e11}


def test_the_best_size_is_that_of_the_lowest_mean_and_its_seeds_are_used_first(arm):
    context, runs, _ = arm
    again = [
        resolve_run(
            context,
            context.model_family.config(run.model_shape),
            3e11,
            run_seed(context.study.seed, 1, context.size_index(run.non_embedding_parameters)),
        )
        for run in runs
    ]
    bpb = {run.id: 2.0 + 0.1 * i for i, run in enumerate(runs)} | {
        run.id: 2.0 - 0.1 * (i == 3) for i, run in enumerate(again)
    }
    bpb[again[0].id] = 2.2  # the size of the best single run is not the best on average
    best = best_size([*runs, *again], bpb)
    assert best == [runs[1], again[1]]
    added = missing_runs(context, [*runs, *again], [], bpb, [3e11])
    assert {run.spec.seed for run in added} == {runs[1].seed, again[1].seed}
    assert {runs[1].id, again[1].id} <= {run.spec.id for run in added}


def test_an_axis_ends_at_its_limit(arm):
    assert max(run.rate for run in audit(*arm, (9, 0))) == MAX_OCTAVES


def test_a_diverged_neighbour_brackets(arm):
    context, runs, bpb = arm
    tuned = missing(context, runs, [], bpb)
    one_seed = next(run.spec.id for run in tuned if run.rate == 1)
    bpb |= {run.spec.id: 1.9 - 0.1 * run.rate for run in tuned if run.spec.id != one_seed and not run.batch}
    bpb |= {run.spec.id: 3.0 for run in tuned if run.batch or run.weight_decay != 1}
    assert not any(run.rate > 1 for run in missing(context, runs, tuned, bpb))
