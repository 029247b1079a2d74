"""Which runs the tuning audit needs: learning rate, batch size and weight decay varied around the rule, one at a time.

At each audited budget, an arm's best size is trained with the learning rate, then the batch size, at factors of
sqrt(2) up to an octave around the rule, and with the weight decay at the first of `WEIGHT_DECAYS`: twelve settings.
Each is varied further until its best value is bracketed.
The noise of one seed is larger than what a good rule loses, so every setting of a cell is trained from as many seeds as
bring the standard error of its mean to `TARGET_ERROR`, judged by the seeds so far.
Uses validation losses, never test losses.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, inf
from statistics import fmean

import numpy as np

from bytegap.plan.grid import ArmContext, can_train, resolve_run, run_seed
from bytegap.plan.hyperparameters import Setting
from bytegap.schema.plan import RunSpec, TuningRun
from bytegap.tuning.seed_noise import loss_table, seed_noise

MAX_OCTAVES = 4
"""Distance from the rule at which the axes of learning rate and batch size end."""
STEP_OCTAVES = 0.5
WEIGHT_DECAYS = (0.0, 0.3, 1.0, 3.0, 7.0, 15.0)
"""Factors on the rule's weight decay, ascending: none, and then about equal steps of log(1 + factor)."""
FIRST_WEIGHT_DECAYS = WEIGHT_DECAYS[:4]
"""Those of every audit; the others are added where the best so far is next to them."""
TARGET_ERROR = 0.0025
"""Standard error of a setting's mean log BPB compared with the others': a fifth or less of what halving a rate cost."""
MIN_SEEDS, MAX_SEEDS = 2, 32
"""Seeds of a setting."""

BpbBySeed = Mapping[int, float]
"""Validation BPB by seed; infinite where the run has none, because it diverged or is not trained yet."""


def missing_runs(
    context: ArmContext,
    runs: Sequence[RunSpec],
    tuning: Sequence[TuningRun],
    bpb: Mapping[str, float],
    budgets: Iterable[float],
) -> list[TuningRun]:
    """The runs that an arm's audit at these budgets lacks.

    `runs` and `tuning` are the arm's runs in the plan; `bpb` has the validation BPB of every finished run, by id.
    """
    added: dict[str, TuningRun] = {}
    for budget in budgets:
        best = best_size([run for run in runs if run.budget_flops == budget], bpb)
        if not best:
            continue
        like = best[0]
        own = [run for run in tuning if run.spec.budget_flops == budget and run.spec.model_shape == like.model_shape]
        known: dict[Setting, dict[int, float]] = {}
        for run in own:  # one seed that diverged is enough to say that a setting is not the best
            known.setdefault(setting_of(run), {})[run.spec.seed] = bpb.get(run.spec.id, inf)
        settings = known.keys() | _learning_rates(known) | _batch_sizes(known) | _weight_decays(known)
        size = context.size_index(like.non_embedding_parameters)
        seeds = [run_seed(context.study.seed, repetition, size) for repetition in range(_seeds_needed(known))]
        have = {run.spec.id for run in own}
        for setting in sorted(settings, key=_distance):
            for seed in seeds:
                if seed in known.get(setting, {}):
                    continue
                run = _tuning_run(context, like, setting, seed)
                if run and run.spec.id not in have:  # another setting may round to the same batch size
                    added.setdefault(run.spec.id, run)
    return list(added.values())


def best_size(runs: Iterable[RunSpec], bpb: Mapping[str, float]) -> list[RunSpec]:
    """Of the runs of a cell, those of the size of lowest mean validation BPB; none where no run has a score."""
    by_size: dict[int, list[RunSpec]] = defaultdict(list)
    for run in runs:
        by_size[run.non_embedding_parameters].append(run)
    means = {
        size: fmean(scores)
        for size, own in by_size.items()
        if (scores := [bpb[run.id] for run in own if run.id in bpb])
    }
    return by_size[min(means, key=lambda size: means[size])] if means else []


def setting_of(run: TuningRun) -> Setting:
    """The setting that a run of the audit was planned for."""
    return Setting(run.rate, run.batch, run.weight_decay)


def _distance(setting: Setting) -> tuple[float, Setting]:
    octaves = abs(setting.log2_learning_rate) + abs(setting.log2_batch_size)
    return octaves + abs(setting.weight_decay_factor - 1), setting


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
    scored = {
        s.log2_learning_rate: bpb for s, bpb in known.items() if s == Setting(log2_learning_rate=s.log2_learning_rate)
    }
    return {Setting(log2_learning_rate=log2) for log2 in _around_best(scored)}


def _batch_sizes(known: Mapping[Setting, BpbBySeed]) -> set[Setting]:
    """The settings of the batch-size axis that its parabola needs."""
    scored = {s.log2_batch_size: bpb for s, bpb in known.items() if s == Setting(log2_batch_size=s.log2_batch_size)}
    return {Setting(log2_batch_size=log2) for log2 in _around_best(scored)}


def _weight_decays(known: Mapping[Setting, BpbBySeed]) -> set[Setting]:
    """The settings of the weight-decay axis that its parabola needs: the first ones, and the neighbours of the best."""
    scored = {
        s.weight_decay_factor: bpb
        for s, bpb in known.items()
        if s == Setting(weight_decay_factor=s.weight_decay_factor)
    }
    best = WEIGHT_DECAYS.index(_best(scored, rule=1.0))
    factors = {*FIRST_WEIGHT_DECAYS, *WEIGHT_DECAYS[max(0, best - 1) : best + 2]}
    return {Setting(weight_decay_factor=factor) for factor in factors}


def _around_best(scored: Mapping[float, BpbBySeed]) -> set[float]:
    """Values on one axis, in log2: an octave to both sides of the rule, or of the best value where that is farther."""
    best = _best(scored, rule=0.0)
    centre = best if abs(best) > STEP_OCTAVES else 0.0
    values = {centre + sign * step for sign in (-1, 1) for step in (0.0, STEP_OCTAVES, 2 * STEP_OCTAVES)}
    return {log2 for log2 in values if abs(log2) <= MAX_OCTAVES}


def _best(scored: Mapping[float, BpbBySeed], rule: float) -> float:
    """The value of lowest mean BPB of which every seed finished; the rule's where there is none."""
    means = {value: fmean(bpb.values()) for value, bpb in scored.items() if _all_finished(bpb)}
    return min(means, key=lambda value: means[value]) if means else rule


def _tuning_run(context: ArmContext, like: RunSpec, setting: Setting, seed: int) -> TuningRun | None:
    """A run of the size and budget of `like`; None where the budget does not pay for such batches, or below one row."""
    config = context.model_family.config(like.model_shape)
    if not can_train(context, config, like.budget_flops, setting):
        return None
    if setting.log2_batch_size < 0 and like.batch_size * setting.batch_size_factor < 1:
        return None
    return TuningRun(
        rate=setting.log2_learning_rate,
        batch=setting.log2_batch_size,
        weight_decay=setting.weight_decay_factor,
        spec=resolve_run(context, config, like.budget_flops, seed, setting),
    )
