"""What a study that names hours assumes of this machine: execution, workers, and seconds of steps. Writes nothing.

The execution is chosen by a benchmark, and steps are timed after it. Other work on the machine spoils either: where
they contradict each other both are made once more, and after that the benchmark is not believed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from bytegap.autotune.backends import ExecutionPlan, default_execution, default_workers
from bytegap.autotune.search import autotune, end_of_runs
from bytegap.console import track, warn
from bytegap.plan.grid import ArmContext, can_train, resolve_run
from bytegap.plan.pilot import PilotArm
from bytegap.plan.throughput import Throughput, time_sizes
from bytegap.schema.pilot import SizeTiming
from bytegap.schema.plan import RunSpec
from bytegap.study.config import Study

LARGEST_CONTRADICTION = 3.0
"""Factor between what the benchmark expects and what timed steps say, either way. Workers that share caches slow each
other down, by less than this."""
_ASSUMED_FLOPS_PER_S = 5e9
"""Of a worker, only for choosing which models the execution is benchmarked with (assumption)."""
_BENCHMARKED_SIZES = 6
"""Of each arm, about as many as a plan has: compilation must pay for all."""

Timings = dict[str, tuple[SizeTiming, ...]]
"""By arm, ascending in size."""


@dataclass(frozen=True)
class Machine:
    """How runs are executed here, and what their steps take."""

    chosen: ExecutionPlan
    timings: Timings


def measured_machine(study: Study, contexts: Mapping[str, ArmContext]) -> Machine:
    """Choose the execution and time steps, again if they contradict each other; then the default execution."""
    runs = _benchmarked(study, contexts)
    for what_follows in ("both are measured again", "the default execution is used"):
        chosen = autotune(runs, study.compute)
        timings = _timed(study, contexts, chosen)
        factor = contradiction(runs, chosen, timings)
        if factor <= LARGEST_CONTRADICTION:
            return Machine(chosen, timings)
        warn("plan", f"benchmark and timed steps differ by a factor of {factor:.1f}: {what_follows}")
    start = default_execution(study.compute)
    chosen = ExecutionPlan(start, default_workers(study.compute, start))
    return Machine(chosen, _timed(study, contexts, chosen))


def contradiction(runs: Sequence[RunSpec], chosen: ExecutionPlan, timings: Timings) -> float:
    """Factor, at least 1, between the seconds that the benchmark expects these runs to take and those of timed steps.

    1 where nothing was benchmarked.
    """
    if chosen.expected_s is None:
        return 1.0
    seconds = [Throughput(timings[run.arm]).seconds(run) for run in runs]
    ratio = end_of_runs(seconds, chosen.workers) / chosen.expected_s
    return max(ratio, 1 / ratio)


def _timed(study: Study, contexts: Mapping[str, ArmContext], chosen: ExecutionPlan) -> Timings:
    """Step times of each arm under an execution."""
    assert study.plan.hours is not None
    worker_seconds = 3600 * study.plan.hours * chosen.workers
    return {
        name: time_sizes(replace(context, execution=chosen.execution), worker_seconds)
        for name, context in track(contexts.items(), "timing steps of each arm")
    }


def _benchmarked(study: Study, contexts: Mapping[str, ArmContext]) -> list[RunSpec]:
    """Runs of the sizes that the hours may train."""
    assert study.plan.hours is not None
    flops = 3600 * study.plan.hours * _ASSUMED_FLOPS_PER_S / len(contexts) / _BENCHMARKED_SIZES
    runs: list[RunSpec] = []
    for context in contexts.values():
        arm = PilotArm(context, 1.0, Throughput(()))
        best = float(arm.law([]).ln_params(np.asarray(flops))[0])
        able = [config for config in islice(context.sizes(), 16) if can_train(context, config, flops)]
        able.sort(key=lambda config: abs(np.log(config.parameters().non_embedding) - best))
        runs += [resolve_run(context, config, flops, study.seed) for config in able[:_BENCHMARKED_SIZES]]
    return runs
