"""How the plan is computed here: numerics, threads a run and runs side by side, whichever finish it soonest.

Each arm's narrowest and widest model at its largest budget are timed, in as many processes at once as would train,
candidates interleaved. What is chosen is frozen in the plan, for all arms alike; a plan of seconds is not measured.
"""

import heapq
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing.synchronize import Barrier
from statistics import fmean, median
from time import perf_counter

import torch

from bytegap.console import say
from bytegap.models._blocks import ATTENTION
from bytegap.plan.estimate import stepper
from bytegap.records import Numerics, RunSpec
from bytegap.study import Compute

_WORTH_MEASURING_FLOPS = 1e12
_ROUNDS = 3
# What compiling takes a run, and what it saves at most, as far as is known before it is measured.
_COMPILE_S, _COMPILED_SAVES = 20.0, 0.3


@dataclass(frozen=True)
class Cost:
    """Of one candidate."""

    train_s: float
    """The probes' runs, every step of them."""
    first_s: float
    """A first step, compilation included, on average."""


def plain(compute: Compute) -> Numerics:
    """What needs no measuring."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Numerics(device=device, dtype="float32", threads=compute.threads or 1, attention="sdpa", compile=False)


def workers(compute: Compute, numerics: Numerics) -> int:
    """Runs side by side: as many as have threads of their own; one on a GPU."""
    return compute.workers or (1 if numerics.device == "cuda" else max(1, cores() // numerics.threads))


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose(runs: Sequence[RunSpec], compute: Compute) -> Numerics:
    """The numerics for all runs; what the study fixes stays as it says."""
    start = plain(compute)
    if sum(run.flops for run in runs) < _WORTH_MEASURING_FLOPS:
        return start
    probes = _probes(runs)
    forms = ATTENTION if start.device == "cpu" else ["sdpa"]
    candidates = [
        start.model_copy(update={"dtype": dtype, "attention": form})
        for dtype, form in product(_dtypes(start.device), forms)
    ]
    costs = _costs(probes, candidates, workers(compute, start))
    best = min(candidates, key=lambda candidate: costs[candidate].train_s)
    ends: dict[Numerics, float] = {}
    ends[best] = _end(runs, probes, costs[best], workers(compute, best))
    for threads in _divisors(cores()) if start.device == "cpu" and not compute.threads else []:
        other = best.model_copy(update={"threads": threads})
        beside = workers(compute, other)
        ends[other] = _end(runs, probes, _costs(probes, [other], beside)[other], beside)
    best = min(ends, key=lambda candidate: ends[candidate])
    beside = workers(compute, best)
    compiling = len(runs) / beside  # a run traces anew, whatever code lies cached
    if ends[best] * _COMPILED_SAVES > compiling * _COMPILE_S:
        compiled = best.model_copy(update={"compile": True})
        try:
            cost = _costs(probes, [compiled], beside)[compiled]
        except Exception as error:  # noqa: BLE001 - whatever a compiler raises, the plan can do without one
            say("plan", f"not compiled: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        else:
            ends[compiled] = _end(runs, probes, cost, beside) + compiling * cost.first_s
    for candidate, end_s in ends.items():
        say("plan", f"{_described(candidate)}, {workers(compute, candidate)} at once: {end_s / 60:.1f} minutes")
    return min(ends, key=lambda candidate: ends[candidate])


def _described(numerics: Numerics) -> str:
    compiled = "compiled, " if numerics.compile else ""
    return f"{compiled}{numerics.dtype}, attention as {numerics.attention}, {numerics.threads} threads a run"


def _dtypes(device: str) -> list[str]:
    """bfloat16 only where its matmuls are the faster: a processor without it takes a hundred times as long."""
    times = {}
    for dtype in ("float32", "bfloat16"):
        square = torch.ones(512, 512, dtype=getattr(torch, dtype), device=device)
        rounds = []
        for _ in range(4):
            start = perf_counter()
            torch.mm(square, square).sum().item()
            rounds.append(perf_counter() - start)
        times[dtype] = min(rounds[1:])
    return [dtype for dtype in times if times[dtype] <= times["float32"]]


def _probes(runs: Sequence[RunSpec]) -> list[RunSpec]:
    """Each arm's smallest and largest model at its largest budget."""
    found = []
    for arm in dict.fromkeys(run.arm for run in runs):
        own = [run for run in runs if run.arm == arm]
        top = [run for run in own if run.budget_flops == max(run.budget_flops for run in own)]
        top.sort(key=lambda run: run.non_embedding_parameters)
        found += [top[0], top[-1]]
    return found


def _divisors(cores: int) -> list[int]:
    """Threads a run that leave no core idle, more than one."""
    return [threads for threads in range(2, cores + 1) if cores % threads == 0]


def _costs(probes: Sequence[RunSpec], candidates: Sequence[Numerics], beside: int) -> dict[Numerics, Cost]:
    """Each candidate's cost where `beside` processes do the same at once; the slowest counts."""
    grid = [[probe.model_copy(update={"numerics": candidate}) for candidate in candidates] for probe in probes]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(beside, context, _meet, (context.Barrier(beside),)) as pool:
        everyone = list(pool.map(_clock, [grid] * beside))
    costs = {}
    for column, candidate in enumerate(candidates):
        first_s, step_s = (
            [max(times[row][column][which] for times in everyone) for row in range(len(probes))] for which in (0, 1)
        )
        train_s = sum(probe.steps * each for probe, each in zip(probes, step_s, strict=True))
        costs[candidate] = Cost(train_s, fmean(first_s))
    return costs


def _meet(barrier: Barrier) -> None:
    """Wait in each process until all have loaded their libraries: none is to be timed alone."""
    import bytegap.plan.estimate  # noqa: F401

    barrier.wait()


def _clock(grid: list[list[RunSpec]]) -> list[list[tuple[float, float]]]:
    """(first step, median of later ones) in seconds, of each run of each row, those of a row interleaved."""
    result = []
    for row in grid:
        steps = [stepper(spec) for spec in row]
        first = [step() for step in steps]
        rounds = [[step() for step in steps] for _ in range(_ROUNDS)]
        result.append(list(zip(first, map(median, zip(*rounds, strict=True)), strict=True)))
    return result


def _end(runs: Sequence[RunSpec], probes: Sequence[RunSpec], cost: Cost, beside: int) -> float:
    """Seconds until the last run ends, longest first, at the probes' FLOPs a second."""
    flops_a_s = sum(probe.flops for probe in probes) / cost.train_s
    busy_until = [0.0] * beside
    for flops in sorted((run.flops for run in runs), reverse=True):
        heapq.heapreplace(busy_until, busy_until[0] + flops / flops_a_s)
    return max(busy_until)
