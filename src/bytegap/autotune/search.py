"""Chooses the execution and the number of workers that finish a plan's runs soonest.

Each arm's smallest and largest model at its largest budget are benchmarked (the probes).
First dtype and attention backend are compared, then splits of the machine, then compilation.
The choice is frozen in the plan and the same for all arms.
An execution whose gradients differ from those of PyTorch's kernels in float32 is not chosen.
"""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bytegap.autotune.backends import (
    ExecutionPlan,
    compiled_candidates,
    default_execution,
    default_workers,
    describe,
    eager_candidates,
    worker_splits,
)
from bytegap.autotune.benchmark import BenchmarkResult, GradientNorms, benchmark, benchmark_or_none, gradients_match
from bytegap.autotune.step_timer import has_attention_mask, step_signature
from bytegap.console import say
from bytegap.schema.plan import RunSpec
from bytegap.study.config import Compute

MIN_BENCHMARKED_FLOPS = 1e12
"""Plans of fewer FLOPs take seconds and use the default execution."""
# Before compilation is measured: seconds of a first step with the compiler's cache empty and filled, and the largest
# share of time that compilation saves (docs/log.md; for kernel launches on a GPU a guess).
_EXPECTED_COMPILATION = BenchmarkResult((), first_step_s=20.0, cached_first_step_s=2.0)
_MAX_COMPILED_SAVING = {"cpu": 0.3, "cuda": 0.9}
_MAX_COMPILED_PROBES = 4  # to compile all may take longer than a plan


def autotune(runs: Sequence[RunSpec], compute: Compute) -> ExecutionPlan:
    """The execution of all runs and the number of workers; what the study's [compute] table sets is kept."""
    start = default_execution(compute)
    workers = default_workers(compute, start)
    if sum(run.flops for run in runs) < MIN_BENCHMARKED_FLOPS:
        return ExecutionPlan(start, workers)
    probes = _probes(runs)
    candidates = eager_candidates(start)
    results = benchmark(probes, candidates, workers)
    reference = results[start].gradient_norms
    sound = [each for each in candidates if each == start or gradients_match(each, results[each], reference)]
    fastest = min(sound, key=lambda candidate: results[candidate].train_s)
    plan = ExecutionPlan(fastest, workers)
    found = {plan: results[fastest]}
    ends = {plan: makespan(runs, probes, results[fastest], workers)}
    for split in worker_splits(plan, compute):
        result = benchmark_or_none(probes, split, reference)
        if result is None:
            break
        found[split], ends[split] = result, makespan(runs, probes, result, split.workers)
        if start.device == "cuda" and ends[split] > min(ends.values()):
            break
    best = min(ends, key=lambda each: ends[each])
    ends |= _compiled_ends(runs, probes, best, found[best], reference)
    for each, end_s in ends.items():
        say("plan", f"{describe(each.execution)}, {each.workers} workers: {end_s / 60:.1f} minutes")
    chosen = min(ends, key=lambda each: ends[each])
    return replace(chosen, expected_s=ends[chosen])


def _probes(runs: Sequence[RunSpec]) -> list[RunSpec]:
    """Each arm's smallest and largest model at its largest budget; of those that compute the same, one."""
    probes: dict[str, RunSpec] = {}
    for arm in dict.fromkeys(run.arm for run in runs):
        own = [run for run in runs if run.arm == arm]
        largest_budget = max(run.budget_flops for run in own)
        by_size = sorted(
            (run for run in own if run.budget_flops == largest_budget), key=lambda run: run.non_embedding_parameters
        )
        probes |= {step_signature(run): run for run in (by_size[0], by_size[-1])}
    return list(probes.values())


def _compiled_ends(
    runs: Sequence[RunSpec],
    probes: Sequence[RunSpec],
    plan: ExecutionPlan,
    eager: BenchmarkResult,
    reference: GradientNorms,
) -> dict[ExecutionPlan, float]:
    """Seconds until the last run ends under each compiled variant of `plan`, whose eager result is given.

    Empty where compilation could not pay for itself.
    A few probes are compiled: those that take longest, one with an attention mask among them if there is any.
    """
    end_s = makespan(runs, probes, eager, plan.workers)
    least_s = compile_seconds(runs, _EXPECTED_COMPILATION, plan)
    if end_s * _MAX_COMPILED_SAVING[plan.execution.device] < least_s:
        return {}
    longest = sorted(range(len(probes)), key=lambda probe: -eager.run_s[probe])
    masked = [probe for probe in longest if has_attention_mask(probes[probe])]
    longest = sorted(longest, key=lambda probe: probe not in masked[:1])[:_MAX_COMPILED_PROBES]
    eager_s = sum(eager.run_s[probe] for probe in longest)
    ends: dict[ExecutionPlan, float] = {}
    for execution in compiled_candidates(plan.execution, has_masks=bool(masked)):
        compiled = ExecutionPlan(execution, plan.workers)
        result = benchmark_or_none([probes[probe] for probe in longest], compiled, reference)
        if result is not None:
            ends[compiled] = end_s * result.train_s / eager_s + compile_seconds(runs, result, compiled)
    return ends


def compile_seconds(runs: Sequence[RunSpec], result: BenchmarkResult, plan: ExecutionPlan) -> float:
    """Seconds that compilation adds to the runs: each run traces, and code is generated once for runs that share it.

    Runs share code if they differ in seed, steps and batch size alone; a batch of one sequence has code of its own, and
    CUDA graphs have for each batch size.
    """
    largest = math.inf if plan.execution.compile == "graphs" else 2
    codes = {step_signature(run.model_copy(update={"batch_size": min(run.batch_size, largest)})) for run in runs}
    generating_s = result.first_step_s - result.cached_first_step_s
    return (len(codes) * generating_s + len(runs) * result.cached_first_step_s) / plan.workers


def makespan(runs: Sequence[RunSpec], probes: Sequence[RunSpec], result: BenchmarkResult, workers: int) -> float:
    """Seconds until the last run ends, started longest first, at the FLOPs a second of the probes."""
    flops_per_s = sum(probe.flops for probe in probes) / result.train_s
    return end_of_runs([run.flops / flops_per_s for run in runs], workers)


def end_of_runs(run_s: Iterable[float], workers: int) -> float:
    """Seconds until the last of the runs ends, started longest first; `run_s` has the seconds of each."""
    busy_until_s = [0.0] * workers
    for seconds in sorted(run_s, reverse=True):
        heapq.heapreplace(busy_until_s, busy_until_s[0] + seconds)
    return max(busy_until_s)
