"""Which runs the tuning audit needs: learning rate and batch size varied around the rule.

At its smallest and its largest budget, an arm's best size is trained with the learning rate, then the batch size, at
factors of sqrt(2) up to an octave around the rule, and further until the best setting of either axis is bracketed.
The noise of one seed is larger than what a good rule loses, so every setting of a cell is trained from as many seeds as
bring the standard error of its mean to `TARGET_ERROR`, judged by the seeds so far.
Uses validation losses, never test losses.
"""

from collections.abc import Mapping, Sequence
from math import ceil, inf
from statistics import fmean

import numpy as np

from bytegap.plan.grid import ArmContext, can_train, resolve_run
from bytegap.plan.hyperparameters import Setting
from bytegap.schema.plan import RunSpec, TuningRun
from bytegap.tuning.seed_noise import loss_table, seed_noise

MAX_OCTAVES = 4
"""Distance from the rule at which an axis ends."""
STEP_OCTAVES = 0.5
TARGET_ERROR = 0.0025
"""Standard error of a setting's mean log BPB compared with the others': a fifth or less of what halving a rate cost."""
MIN_SEEDS, MAX_SEEDS = 2, 32
"""Seeds of a setting."""

BpbBySeed = Mapping[int, float]
"""Validation BPB by seed; infinite where the run has none, because it diverged or is not trained yet."""


def missing_runs(
    context: ArmContext, runs: Sequence[RunSpec], tuning: Sequence[TuningRun], bpb: Mapping[str, float]
) -> list[TuningRun]:
    """The runs that an arm's audit lacks.

    `runs` and `tuning` are the arm's runs in the plan; `bpb` has the validation BPB of every finished run, by id.
    """
    added: dict[str, TuningRun] = {}
    for budget in dict.fromkeys((max(context.arm.budgets), min(context.arm.budgets))):
        grid = [run for run in runs if run.budget_flops == budget and run.id in bpb]
        if not grid:
            continue
        best = min(grid, key=lambda run: bpb[run.id])
        own = [run for run in tuning if run.spec.budget_flops == budget and run.spec.model_shape == best.model_shape]
        known: dict[Setting, dict[int, float]] = {}
        for run in own:  # one seed that diverged is enough to say that a setting is not the best
            known.setdefault(setting_of(run), {})[run.spec.seed] = bpb.get(run.spec.id, inf)
        settings = known.keys() | _learning_rates(known) | _batch_sizes(known)
        seeds = range(context.study.seed, context.study.seed + _seeds_needed(known))
        have = {run.spec.id for run in own}
        for setting in sorted(settings, key=_distance):
            for seed in seeds:
                run = _tuning_run(context, best, setting, seed)
                if run and run.spec.id not in have:  # another setting may round to the same batch size
                    added.setdefault(run.spec.id, run)
    return list(added.values())


def setting_of(run: TuningRun) -> Setting:
    """The setting that a run of the audit was planned for."""
    return Setting(run.rate, run.batch)


def _distance(setting: Setting) -> float:
    return abs(setting.log2_learning_rate) + abs(setting.log2_batch_size)


def _seeds_needed(known: Mapping[Setting, BpbBySeed]) -> int:
    """Seeds of each setting, by the noise of those finished, effects of a seed common to all settings removed."""
    finished = [bpb for bpb in known.values() if _all_finished(bpb)]
    noise = seed_noise(np.log(loss_table(finished))) if finished else None
    if noise is None:
        return MIN_SEEDS
    return min(MAX_SEEDS, max(MIN_SEEDS, ceil((noise.within_setting_sd / TARGET_ERROR) ** 2)))


def _all_finished(bpb: BpbBySeed) -> bool:
    """Whether every seed of a setting finished."""
    return inf not in bpb.values()


def _learning_rates(known: Mapping[Setting, BpbBySeed]) -> set[Setting]:
    """The settings of the learning-rate axis that its parabola needs."""
    scored = {setting.log2_learning_rate: bpb for setting, bpb in known.items() if setting.log2_batch_size == 0}
    return {Setting(log2_learning_rate=log2) for log2 in _around_best(scored)}


def _batch_sizes(known: Mapping[Setting, BpbBySeed]) -> set[Setting]:
    """The settings of the batch-size axis that its parabola needs."""
    scored = {setting.log2_batch_size: bpb for setting, bpb in known.items() if setting.log2_learning_rate == 0}
    return {Setting(log2_batch_size=log2) for log2 in _around_best(scored)}


def _around_best(scored: Mapping[float, BpbBySeed]) -> set[float]:
    """Values on one axis, in log2: an octave to both sides of the rule, or of the best value where that is farther."""
    means = {log2: fmean(bpb.values()) for log2, bpb in scored.items() if _all_finished(bpb)}
    best = min(means, key=lambda log2: means[log2]) if means else 0.0
    centre = best if abs(best) > STEP_OCTAVES else 0.0
    values = {centre + sign * step for sign in (-1, 1) for step in (0.0, STEP_OCTAVES, 2 * STEP_OCTAVES)}
    return {log2 for log2 in values if abs(log2) <= MAX_OCTAVES}


def _tuning_run(context: ArmContext, like: RunSpec, setting: Setting, seed: int) -> TuningRun | None:
    """A run of the size and budget of `like`; None where the budget does not pay for such batches, or below one row."""
    config = context.model_family.config(like.model_shape)
    if not can_train(context, config, like.budget_flops, setting):
        return None
    if setting.log2_batch_size < 0 and like.batch_size * setting.batch_size_factor < 1:
        return None
    spec = resolve_run(context, config, like.budget_flops, seed, setting)
    return TuningRun(rate=setting.log2_learning_rate, batch=setting.log2_batch_size, spec=spec)
