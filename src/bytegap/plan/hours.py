"""A study that names hours: its pilot, and the budgets and sizes that follow from it.

The caller trains what `pilot_round` returns, until it returns None; `placed_runs` is then a pure function of study,
manifests and pilot.json. Reads the records of the pilot's runs; writes pilot.json.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from bytegap.autotune.backends import default_execution
from bytegap.console import say, warn
from bytegap.errors import listed
from bytegap.models.base import ModelConfig
from bytegap.plan.contexts import arm_contexts, inputs_sha256, with_budgets
from bytegap.plan.grid import ArmContext, can_train, resolve_run, runs_of_size
from bytegap.plan.machine import LARGEST_CONTRADICTION, measured_machine
from bytegap.plan.outlook import CellGrid, Outlook, outlook
from bytegap.plan.pilot import PILOT_SHARE, Allowance, PilotArm, next_round
from bytegap.plan.placement import Comparison, Placement, best_placement
from bytegap.plan.rough_law import RoughLaw
from bytegap.plan.throughput import Throughput
from bytegap.scaling.laws import Array
from bytegap.schema.base import FrozenDict, label
from bytegap.schema.pilot import Pilot
from bytegap.schema.plan import RunSpec
from bytegap.study.comparisons import ArmTraits, comparisons
from bytegap.study.config import Study
from bytegap.study.directory import PILOT, StudyDir

RESERVE = 0.1
"""Share of the hours after the pilot that is left for sizes added where a minimum is at the edge, and for waiting."""
_LONGEST_RUN = 0.5
"""Of the hours: a longer run would leave the other workers idle."""
_BUDGET_POWERS = range(93, 220)
"""Budgets are 10^(power / 10) FLOPs; the least is about that of the committed studies, which the priors are from."""
_SIZES_BEYOND = 10
"""Sizes larger than those timed, each a factor of about 2, for asking what more hours would do."""
_NODE_STEP = 5
"""Budgets from one at which seconds are computed to the next; between them they are interpolated."""
MOST_HOURS_FACTOR = 1024
"""Multiple of the study's hours up to which that is asked."""


@dataclass(frozen=True)
class CostTable:
    """What a cell of one arm may consist of."""

    flops_B: Array
    """Budgets, ascending."""
    ln_params_J: Array
    seconds_BJ: Array
    """Worker seconds of one run of a size at a budget; NaN where the budget cannot train the size."""


@dataclass(frozen=True)
class Prospect:
    """All that placing budgets depends on, apart from the hours."""

    names: tuple[str, ...]
    """Of the arms."""
    laws: tuple[RoughLaw, ...]
    tables: tuple[CostTable, ...]
    comparisons: tuple[Comparison, ...]
    grid: CellGrid
    workers: int

    def outlooks(self, hours: float) -> list[Outlook]:
        """What is known of the arms, budgets limited to runs that fit into these hours."""
        return [self._outlook(law, table, hours) for law, table in zip(self.laws, self.tables, strict=True)]

    def _outlook(self, law: RoughLaw, table: CostTable, hours: float) -> Outlook:
        nearest_B = np.abs(table.ln_params_J - np.median(law.ln_params(table.flops_B), axis=0)[:, None]).argmin(axis=1)
        run_s_B = table.seconds_BJ[np.arange(len(table.flops_B)), nearest_B]
        kept = max(1, int(np.sum(~(run_s_B > _LONGEST_RUN * 3600 * hours))))
        cell_s_BJ = self.grid.runs * table.seconds_BJ[:kept]
        return outlook(law, table.flops_B[:kept], table.ln_params_J, cell_s_BJ, self.grid)

    def placement(self, hours: float) -> Placement:
        """The best placement within these hours of all workers."""
        return best_placement(self.outlooks(hours), self.comparisons, 3600 * hours * self.workers)


def pilot_round(study: Study, study_dir: StudyDir) -> Pilot | None:
    """Add the cells that the pilot needs next to pilot.json; None once it is finished.

    The caller trains the returned pilot's runs and calls again. A round has no more cells than keep the workers busy,
    and the next one is decided by what this one took: a wrong timing costs the pilot no more than one round.
    """
    pilot = current_pilot(study, study_dir) or start_pilot(study, study_dir)
    if pilot.finished:
        return None
    if study_dir.unfinished(pilot.runs):
        return pilot
    pilot = _timed_again(study, study_dir, _measured(study, study_dir, pilot))
    bpb = study_dir.validation_bpb(pilot.runs)
    allowed_s = PILOT_SHARE * 3600 * pilot.hours * pilot.workers
    added = next_round(pilot_arms(study, study_dir, pilot), pilot.runs, bpb, Allowance(allowed_s, pilot.workers))
    if added:
        pilot = pilot.model_copy(update={"runs": (*pilot.runs, *added)})
        study_dir.write(PILOT, pilot)
        say("plan", f"pilot: {len(added)} runs of {', '.join(dict.fromkeys(spec.arm for spec in added))}")
        return pilot
    pilot = pilot.model_copy(update={"finished": True, "validation_bpb": FrozenDict(bpb)})
    study_dir.write(PILOT, pilot)
    _say_end(study_dir, pilot)
    return None


def _say_end(study_dir: StudyDir, pilot: Pilot) -> None:
    """What a finished pilot took, by the clocks of its runs, and which arms it did not reach."""
    timings = [found for spec in pilot.runs if (found := study_dir.run(spec.id).find_timings())]
    took_min = sum(each.train_s + each.evaluate_s for each in timings) / pilot.workers / 60
    say("plan", f"pilot: {len(pilot.runs)} runs, {took_min:.1f} of {60 * pilot.hours:.3g} minutes; no fit uses them")
    reached, other = reached_arms(pilot)
    if other:
        warn(
            "plan",
            f"the pilot reached {f'{listed(reached)} only' if reached else 'no arm'}; {listed(other)} "
            f"{'are' if len(other) > 1 else 'is'} placed by laws of the committed studies",
        )


def reached_arms(pilot: Pilot) -> tuple[list[str], list[str]]:
    """The arms of which a run of the pilot has a score, so that they have laws of their own, and the others."""
    own = {spec.arm for spec in pilot.runs if spec.id in pilot.validation_bpb}
    return [name for name in pilot.timings if name in own], [name for name in pilot.timings if name not in own]


def current_pilot(study: Study, study_dir: StudyDir) -> Pilot | None:
    """The pilot in the folder, if it was made from this study and these tokens."""
    contexts = arm_contexts(study, study_dir, default_execution(study.compute))
    return study_dir.load_if_current(PILOT, inputs_sha256(study, contexts))


def unstarted_pilot(study: Study, study_dir: StudyDir) -> Pilot:
    """A pilot without runs: execution, workers and step times of this machine, now measured. Writes nothing."""
    assert study.plan.hours is not None
    contexts = arm_contexts(study, study_dir, default_execution(study.compute))
    machine = measured_machine(study, contexts)
    return Pilot(
        inputs_sha256=inputs_sha256(study, contexts),
        study=study.name,
        hours=study.plan.hours,
        execution=machine.chosen.execution,
        workers=machine.chosen.workers,
        timings=FrozenDict(machine.timings),
    )


def start_pilot(study: Study, study_dir: StudyDir) -> Pilot:
    """Measure this machine and write a pilot without runs."""
    pilot = unstarted_pilot(study, study_dir)
    study_dir.write(PILOT, pilot)
    return pilot


def _timed_again(study: Study, study_dir: StudyDir, pilot: Pilot) -> Pilot:
    """The pilot with this machine measured once more, if its runs took seconds that contradict the timings.

    Its runs stay in it, also under another execution: what they cost is then that of the new one.
    """
    factor = max(pilot.slowdown, 1 / pilot.slowdown)
    if pilot.timed_again or factor <= LARGEST_CONTRADICTION:
        return pilot
    warn("plan", f"timed steps and the pilot's runs differ by a factor of {factor:.1f}: this machine is measured again")
    again = unstarted_pilot(study, study_dir).model_copy(update={"runs": pilot.runs, "timed_again": True})
    return _measured(study, study_dir, again)


def _measured(study: Study, study_dir: StudyDir, pilot: Pilot) -> Pilot:
    """The pilot with what training and scoring have taken so far, relative to the timings."""
    train_s = predicted_s = 0.0
    evaluate_s: dict[str, float] = {}
    sequence_s: dict[str, float] = {}
    for spec in pilot.runs:
        timings, own = study_dir.run(spec.id).find_timings(), Throughput(pilot.timings[spec.arm])
        if timings is not None and spec.execution == pilot.execution:
            train_s += spec.flops / timings.flops_per_s  # of the whole run, also where it was resumed
            predicted_s += own.seconds(spec)
            evaluate_s[spec.arm] = evaluate_s.get(spec.arm, 0.0) + timings.evaluate_s
            sequence_s[spec.arm] = sequence_s.get(spec.arm, 0.0) + own.sequence_s(spec)
    unigrams = {arm.context.arm_name: arm.unigram_bpb for arm in pilot_arms(study, study_dir, pilot)}
    return pilot.model_copy(
        update={
            "unigram_bpb": FrozenDict(unigrams),
            "slowdown": train_s / predicted_s if predicted_s else 1.0,
            "evaluate_sequences": FrozenDict({name: evaluate_s[name] / sequence_s[name] for name in evaluate_s}),
        }
    )


def pilot_arms(study: Study, study_dir: StudyDir, pilot: Pilot) -> list[PilotArm]:
    """The arms as the pilot and the placement see them."""
    windows = study_dir.windows()
    mean_evaluation = float(np.mean(list(pilot.evaluate_sequences.values()))) if pilot.evaluate_sequences else 0.0
    return [
        PilotArm(
            context,
            windows.splits["validation"].tokenizers[context.arm.tokenizer].unigram_bpb,
            Throughput(pilot.timings[name], pilot.slowdown, pilot.evaluate_sequences.get(name, mean_evaluation)),
        )
        for name, context in arm_contexts(study, study_dir, pilot.execution).items()
    ]


def pilot_seconds(pilot: Pilot) -> dict[str, float]:
    """Worker seconds of the pilot's runs by id, as its own throughput says."""
    throughput = {
        name: Throughput(timings, pilot.slowdown, pilot.evaluate_sequences.get(name, 0.0))
        for name, timings in pilot.timings.items()
    }
    return {spec.id: throughput[spec.arm].seconds(spec) for spec in pilot.runs}


def hours_left(pilot: Pilot) -> float:
    """Hours for the runs of the plan: those of the study less the pilot's, less a reserve."""
    measured = sum(pilot_seconds(pilot).values()) / pilot.workers / 3600
    spent = measured if pilot.finished else PILOT_SHARE * pilot.hours
    return max(0.0, (1 - RESERVE) * (pilot.hours - spent))


def prospect(study: Study, study_dir: StudyDir, pilot: Pilot, laws: Sequence[RoughLaw] | None = None) -> Prospect:
    """What placing budgets depends on; the laws are those of the pilot's runs unless others are given."""
    arms, grid = pilot_arms(study, study_dir, pilot), study.grid
    scored = [(spec, pilot.validation_bpb[spec.id]) for spec in pilot.runs if spec.id in pilot.validation_bpb]
    own = [
        arm.law([each for each in scored if each[0].arm == arm.context.arm_name], study.seed + index)
        for index, arm in enumerate(arms)
    ]
    return Prospect(
        names=tuple(arm.context.arm_name for arm in arms),
        laws=tuple(laws or own),
        tables=tuple(_cost_table(arm, pilot.hours) for arm in arms),
        comparisons=tuple(compared_arms([arm.context for arm in arms])),
        grid=CellGrid(grid.sizes, grid.spacing, grid.studies * max(grid.seeds, grid.seeds_at_ends)),
        workers=pilot.workers,
    )


def _cost_table(arm: PilotArm, hours: float) -> CostTable:
    """Seconds of every size that was timed, and of a few beyond, at every budget that they might get."""
    grid = arm.context.study.grid
    configs = list(islice(arm.context.sizes(), len(arm.throughput.timings) + _SIZES_BEYOND))
    flops_B = np.array([float(f"{10 ** (power / 10):.1e}") for power in _BUDGET_POWERS])
    seconds_BJ = np.stack([_seconds_of_size(arm, config, flops_B) for config in configs], axis=1)
    too_small_B = np.isfinite(seconds_BJ).sum(axis=1) < grid.sizes
    too_large_B = np.nan_to_num(seconds_BJ, nan=np.inf).min(axis=1) > 3600 * hours * MOST_HOURS_FACTOR
    kept_B = ~too_small_B & ~too_large_B
    ln_params_J = np.log([config.parameters().non_embedding for config in configs])
    return CostTable(flops_B[kept_B], ln_params_J, seconds_BJ[kept_B])


def _seconds_of_size(arm: PilotArm, config: ModelConfig, flops_B: Array) -> Array:
    """Seconds of a run of one size at each budget, NaN below those that train it; interpolated in ln C."""
    first = bisect_left(flops_B.tolist(), 1, key=lambda flops: int(can_train(arm.context, config, flops)))
    seconds_B = np.full(len(flops_B), np.nan)
    if first < len(flops_B):
        nodes = sorted({*range(first, len(flops_B), _NODE_STEP), len(flops_B) - 1})
        runs = [resolve_run(arm.context, config, float(flops_B[node]), 0) for node in nodes]
        ln_seconds = np.log([arm.throughput.seconds(run) for run in runs])
        seconds_B[first:] = np.exp(np.interp(np.log(flops_B[first:]), np.log(flops_B[nodes]), ln_seconds))
    return seconds_B


def compared_arms(contexts: Sequence[ArmContext]) -> list[Comparison]:
    """What the fit will compare, as indices of arms: overheads, then interactions."""
    index = {context.arm_name: number for number, context in enumerate(contexts)}
    options = contexts[0].study.fit
    names = comparisons([_traits(context) for context in contexts], options.pairs, options.interactions).names
    return [tuple(index[name] for name in each) for each in names]


def _traits(context: ArmContext) -> ArmTraits:
    arm = context.arm
    return ArmTraits(
        name=context.arm_name,
        tokenizer=arm.tokenizer,
        is_bytes=context.tokenizer.kind == "bytes",
        objective=label(arm.objective.name, arm.objective.options),
        permutation=label(arm.permutation.name, arm.permutation.options),
        model=label(arm.model.name, context.model_options),
        architecture=arm.model.name,
    )


def placed_runs(study: Study, study_dir: StudyDir, pilot: Pilot) -> list[RunSpec]:
    """Every run of the plan that follows from a pilot; a pure function of study, manifests and pilot."""
    found = prospect(study, study_dir, pilot)
    return runs_of(study, study_dir, (pilot, found, found.placement(hours_left(pilot))))


def runs_of(study: Study, study_dir: StudyDir, placed: tuple[Pilot, Prospect, Placement]) -> list[RunSpec]:
    """The runs of a placement, in every repeat of the study."""
    pilot, found, placement = placed
    outlooks = found.outlooks(hours_left(pilot))
    cells = {
        name: {float(own.flops_B[index]): own.sizings[index] for index in indices}
        for name, own, indices in zip(found.names, outlooks, placement.budgets, strict=True)
    }
    planned = with_budgets(study, {name: tuple(own) for name, own in cells.items()})
    runs: list[RunSpec] = []
    for name, context in arm_contexts(study, study_dir, pilot.execution).items():
        own = replace(context, study=planned, arm=planned.arms[name])
        for repeat in own.repeats():
            for budget, sizing in cells[name].items():
                assert sizing is not None
                runs += [run for size in sizing.sizes for run in runs_of_size(repeat, budget, size)]
    return runs
