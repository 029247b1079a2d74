"""The tuning audit's runs: learning rate and batch varied about the rule, where each arm's ladder starts and ends.

At its smallest and its largest budget an arm's best size is trained with the learning rate, then the batch, halved and
doubled, and on until the best of either axis has a worse neighbour on both sides; every such place from `SEEDS` seeds,
since one seed's noise is as large as what a good rule loses. Reads validation losses, never test.
"""

from collections.abc import Mapping
from math import inf
from statistics import mean

from bytegap.plan.grid import Setting, fitting, spec
from bytegap.records import RunSpec, TuningRun

FARTHEST = 4
"""Powers of two from the rule at which an axis ends."""
SEEDS = 3

Place = tuple[int, int]
"""log2 of (learning rate, batch) over the rule's."""


def missing(
    setting: Setting, runs: list[RunSpec], tuning: list[TuningRun], bpb: Mapping[str, float]
) -> list[TuningRun]:
    """What an arm's audit lacks; `bpb` is the validation BPB of every run that finished."""
    added = []
    for budget in dict.fromkeys((min(setting.arm.budgets), max(setting.arm.budgets))):
        grid = [run for run in runs if run.budget_flops == budget and run.id in bpb]
        if not grid:
            continue
        best = min(grid, key=lambda run: bpb[run.id])
        own = [run for run in tuning if run.spec.budget_flops == budget and run.spec.shape == best.shape]
        known: dict[Place, list[float]] = {}
        for run in own:  # one seed that diverged is enough to say that a place is not the best
            known.setdefault((run.rate, run.batch), []).append(bpb.get(run.spec.id, inf))
        asked = (_axis(known, 0) | _axis(known, 1)) - known.keys()
        first = setting.study.seed
        places = [(place, seed) for place in sorted(asked) for seed in range(first, first + SEEDS)]
        added += [run for place, seed in places if (run := _run(setting, best, place, seed))]
    return added


def _axis(known: Mapping[Place, list[float]], axis: int) -> set[Place]:
    """The places of one axis that must be known before its best has a worse neighbour on both sides."""
    along = {place[axis]: bpb for place, bpb in known.items() if place[1 - axis] == 0}
    scored = {power: mean(bpb) for power, bpb in along.items() if inf not in bpb}
    best = min(scored, key=lambda power: scored[power]) if scored else 0
    powers = {best - 1, best, best + 1} if not scored or best in {min(along), max(along)} else set(along)
    return {(power, 0) if axis == 0 else (0, power) for power in powers if abs(power) <= FARTHEST}


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
