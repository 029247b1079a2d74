"""Times training steps of a few runs (the probes) under several executions, and compares their gradients.

As many processes as would train do the same at the same time, and the candidates' steps are interleaved, so that
other work on the machine and its caches affect all candidates alike.
"""

import math
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.synchronize import Barrier
from statistics import fmean, median

from bytegap.autotune.backends import ExecutionPlan, describe
from bytegap.autotune.step_timer import Step, make_step, step_signature
from bytegap.console import say
from bytegap.lm.execution import bind_worker_to_gpu, reason
from bytegap.schema.plan import Execution, RunSpec

_TIMED_STEPS = 3
NORM_TOLERANCE = 0.05
"""Relative difference between gradient norms; bfloat16 was within 0.008 of float32 (docs/log.md)."""
NEGLIGIBLE_NORM = 1e-3
"""Share of a model's largest gradient norm below which differences are rounding alone."""

GradientNorms = Mapping[str, tuple[float, ...]]
"""Norms of the gradients of each probe's first steps, by the probe's step signature."""


@dataclass(frozen=True)
class StepTimes:
    """Seconds of steps of one probe under one execution."""

    first_s: float
    """The first step, compilation included."""
    cached_first_s: float
    """The first step of another run, with the compiler's cache filled."""
    step_s: float
    """A later step, the median."""
    gradient_norms: tuple[float, ...] = ()
    """Of all steps of the second run, step after step."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What one execution takes."""

    run_s: tuple[float, ...]
    """Seconds for all steps of each probe's run."""
    first_step_s: float = 0.0
    """A first step, compilation included: the mean over probes."""
    cached_first_step_s: float = 0.0
    """The same with the compiler's cache filled."""
    gradient_norms: GradientNorms = field(default_factory=dict[str, tuple[float, ...]])

    @property
    def train_s(self) -> float:
        """Seconds for the runs of all probes."""
        return sum(self.run_s)


def benchmark(
    probes: Sequence[RunSpec], candidates: Sequence[Execution], workers: int
) -> dict[Execution, BenchmarkResult]:
    """The result of each candidate while `workers` processes do the same; the times are the slowest process's."""
    grid = [[probe.model_copy(update={"execution": candidate}) for candidate in candidates] for probe in probes]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, wait_for_all_workers, (context.Barrier(workers),)) as pool:
        by_worker = list(pool.map(time_in_worker, [grid] * workers, range(workers)))
    results: dict[Execution, BenchmarkResult] = {}
    for column, candidate in enumerate(candidates):
        slowest = [_slowest([times[row][column] for times in by_worker]) for row in range(len(probes))]
        results[candidate] = BenchmarkResult(
            run_s=tuple(probe.steps * times.step_s for probe, times in zip(probes, slowest, strict=True)),
            first_step_s=fmean(times.first_s for times in slowest),
            cached_first_step_s=fmean(times.cached_first_s for times in slowest),
            gradient_norms={
                step_signature(probe): by_worker[0][row][column].gradient_norms for row, probe in enumerate(probes)
            },
        )
    return results


def _slowest(times: Sequence[StepTimes]) -> StepTimes:
    return StepTimes(
        first_s=max(each.first_s for each in times),
        cached_first_s=max(each.cached_first_s for each in times),
        step_s=max(each.step_s for each in times),
    )


def benchmark_or_none(
    probes: Sequence[RunSpec], plan: ExecutionPlan, reference: GradientNorms
) -> BenchmarkResult | None:
    """The result of one execution; None where it does not work here, or its gradients differ from the reference.

    A compiler may be missing, or memory too small for so many workers.
    """
    try:
        result = benchmark(probes, [plan.execution], plan.workers)[plan.execution]
    except Exception as error:  # noqa: BLE001 - compilers and drivers raise anything; no candidate is indispensable
        why = next(iter(str(error).splitlines()), type(error).__name__)
        say("plan", f"{describe(plan.execution)} with {plan.workers} workers: unavailable: {why}")
        return None
    return result if gradients_match(plan.execution, result, reference) else None


def gradients_match(execution: Execution, result: BenchmarkResult, reference: GradientNorms) -> bool:
    """Whether all gradient norms are close to those of the reference, PyTorch's own kernels in float32."""
    for probe, norms in result.gradient_norms.items():
        negligible = NEGLIGIBLE_NORM * max(reference[probe])
        for norm, expected in zip(norms, reference[probe], strict=True):
            if not math.isclose(norm, expected, rel_tol=NORM_TOLERANCE, abs_tol=negligible):
                say("plan", f"{describe(execution)}: rejected: a gradient norm is {norm:.4g} instead of {expected:.4g}")
                return False
    return True


def wait_for_all_workers(barrier: Barrier) -> None:
    """Wait, in each process, until all have imported their libraries: none is to be timed while others import."""
    barrier.wait()


def time_in_worker(grid: Sequence[Sequence[RunSpec]], worker: int) -> list[list[StepTimes]]:
    """As `time_candidates`, on the worker's GPU; RuntimeError for any error, as compilers' own cannot be unpickled."""
    try:
        bind_worker_to_gpu(worker)
        return [time_candidates(runs) for runs in grid]
    except Exception as error:
        raise RuntimeError(reason(error)) from error


def time_candidates(runs: Sequence[RunSpec]) -> list[StepTimes]:
    """The step times of runs that differ in their execution, their steps interleaved."""
    first_s = [make_step(run).take() for run in runs]
    steps = [make_step(run) for run in runs]
    rounds = [[_timed(step) for step in steps] for _ in range(1 + _TIMED_STEPS)]
    times: list[StepTimes] = []
    for first, own in zip(first_s, zip(*rounds, strict=True), strict=True):
        (cached_first_s, *later_s), norms = zip(*own, strict=True)
        times.append(StepTimes(first, cached_first_s, median(later_s), tuple(chain.from_iterable(norms))))
    return times


def _timed(step: Step) -> tuple[float, tuple[float, ...]]:
    """Seconds of one step, and its gradient norms."""
    return step.take(), step.gradient_norms()
