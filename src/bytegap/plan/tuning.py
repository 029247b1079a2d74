"""The tuning audit's runs: learning rate and batch varied about the rule, where each arm's ladder starts and ends.

At its smallest and its largest budget an arm's best size is trained with the learning rate, then the batch, at factors
of sqrt(2) up to an octave about the rule, and on until the best of either axis lies within them. One seed's noise is
larger than what a good rule loses: every place of a cell has as many as tell its mean from the others' to `ERROR`, as
far as the seeds before say. Reads validation losses, never test.
"""

from collections.abc import Mapping
from math import ceil, inf
from statistics import fmean

import numpy as np

from bytegap.plan.grid import Setting, fitting, spec
from bytegap.records import RunSpec, TuningRun
from bytegap.seeds import spread, table

FARTHEST = 4
"""Octaves from the rule at which an axis ends."""
STEP = 0.5
ERROR = 0.0025
"""Standard error of a place's mean log BPB among the others: a fifth or less of what halving a rate cost."""
FEWEST, MOST = 2, 32
"""Seeds a place."""

Place = tuple[float, float]
"""log2 of (learning rate, batch) over the rule's."""


def missing(
    setting: Setting, runs: list[RunSpec], tuning: list[TuningRun], bpb: Mapping[str, float]
) -> list[TuningRun]:
    """What an arm's audit lacks; `bpb` is the validation BPB of every run that finished."""
    added: dict[str, TuningRun] = {}
    for budget in dict.fromkeys((max(setting.arm.budgets), min(setting.arm.budgets))):
        grid = [run for run in runs if run.budget_flops == budget and run.id in bpb]
        if not grid:
            continue
        best = min(grid, key=lambda run: bpb[run.id])
        own = [run for run in tuning if run.spec.budget_flops == budget and run.spec.shape == best.shape]
        known: dict[Place, dict[int, float]] = {}
        for run in own:  # one seed that diverged is enough to say that a place is not the best
            known.setdefault((run.rate, run.batch), {})[run.spec.seed] = bpb.get(run.spec.id, inf)
        places = known.keys() | _axis(known, 0) | _axis(known, 1)
        seeds = range(setting.study.seed, setting.study.seed + _seeds(known))
        have = {run.spec.id for run in own}
        for place in sorted(places, key=lambda place: abs(place[0]) + abs(place[1])):
            for seed in seeds:
                run = _run(setting, best, place, seed)
                if run and run.spec.id not in have:  # a batch of as many whole rows may have been asked for before
                    added.setdefault(run.spec.id, run)
    return list(added.values())


def _seeds(known: Mapping[Place, Mapping[int, float]]) -> int:
    """A place's, by how far those before scatter once what a seed moves everywhere is taken out."""
    finished = [bpb for bpb in known.values() if _whole(bpb)]
    seeds = spread(np.log(table(finished))) if finished else None
    return min(MOST, max(FEWEST, ceil((seeds.own / ERROR) ** 2))) if seeds else FEWEST


def _whole(bpb: Mapping[int, float]) -> bool:
    """Whether every seed of a place finished."""
    return inf not in bpb.values()


def _axis(known: Mapping[Place, Mapping[int, float]], axis: int) -> set[Place]:
    """The places of one axis that a parabola is to go through: an octave to both sides, of the rule or of the best."""
    along = {place[axis]: bpb for place, bpb in known.items() if place[1 - axis] == 0}
    scored = {power: fmean(bpb.values()) for power, bpb in along.items() if _whole(bpb)}
    best = min(scored, key=lambda power: scored[power]) if scored else 0.0
    centre = best if abs(best) > STEP else 0.0
    powers = {centre + sign * step for sign in (-1, 1) for step in (0.0, STEP, 2 * STEP)}
    return {(power, 0.0) if axis == 0 else (0.0, power) for power in powers if abs(power) <= FARTHEST}


def _run(setting: Setting, like: RunSpec, place: Place, seed: int) -> TuningRun | None:
    """None where the budget is too small for such a batch, or a batch has no row left to lose."""
    rate, batch = place
    shape = setting.model.Shape(**like.shape)
    if not fitting(setting, shape, like.budget_flops, 2.0**batch):
        return None
    if batch < 0 and like.rows_per_batch * 2.0**batch < 1:
        return None
    made = spec(setting, shape, like.budget_flops, seed, 2.0**rate, 2.0**batch)
    return TuningRun(rate=rate, batch=batch, spec=made)
