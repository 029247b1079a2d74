"""How the plan is computed here: numerics, threads a run and runs side by side, whichever finish it soonest.

Each arm's narrowest and widest model at its largest budget are timed, in as many processes at once as would train,
candidates interleaved. What is chosen is frozen in the plan, for all arms alike; a plan of seconds is not measured. A
way that does not compute what the library's kernels do in float32, by the norms of the first gradients, is not chosen.
"""

import heapq
import math
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, product
from multiprocessing.synchronize import Barrier
from statistics import fmean, median
from time import perf_counter

import torch

from bytegap.console import say
from bytegap.numerics import reason, settle
from bytegap.plan.estimate import alike, is_masked, stepper
from bytegap.records import Numerics, RunSpec
from bytegap.study import Compute

_WORTH_MEASURING_FLOPS = 1e12
_ROUNDS = 3
# What compiling takes where no code lies cached and where it does, and what it saves at most, as far as is known before
# it is measured (docs/log.md; for launches on a GPU a guess).
_COLD, _CACHED = 20.0, 2.0
_COMPILED_SAVES = {"cpu": 0.3, "cuda": 0.9}
_FORMS = {"cpu": ("sdpa", "matmul"), "cuda": ("sdpa",)}
_SAME = 0.05  # of a norm; bfloat16 was within 0.008 of float32 (docs/log.md)
_NOTHING = 1e-3  # of a model's largest norm: rounding alone
_COMPILED_PROBES = 4  # those that take longest, one of them with a mask; to compile all may take longer than a plan


Way = tuple[Numerics, int]
"""How runs are computed, and how many side by side."""
Norms = Mapping[str, tuple[float, ...]]
"""Of the gradients, part by part, at each probe's first steps."""


@dataclass(frozen=True)
class Cost:
    """Of one candidate."""

    each_s: tuple[float, ...]
    """The probes' runs, every step of them."""
    first_s: float = 0.0
    """A first step, compilation included, on average."""
    again_s: float = 0.0
    """The same in another run, what was compiled lying cached."""
    norms: Norms = field(default_factory=dict)

    @property
    def train_s(self) -> float:
        """All of them."""
        return sum(self.each_s)


def plain(compute: Compute) -> Numerics:
    """What needs no measuring."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Numerics(device=device, dtype="float32", threads=compute.threads or 1, attention="sdpa", compile=False)


def workers(compute: Compute, numerics: Numerics) -> int:
    """Runs side by side, at least: as many as have threads of their own; one a GPU."""
    most = torch.cuda.device_count() if numerics.device == "cuda" else cores() // numerics.threads
    return compute.workers or max(1, most)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose(runs: Sequence[RunSpec], compute: Compute) -> Way:
    """The numerics for all runs, and how many of them side by side; what the study fixes stays as it says."""
    start = plain(compute)
    beside = workers(compute, start)
    if sum(run.flops for run in runs) < _WORTH_MEASURING_FLOPS:
        return start, beside
    probes, on_gpu = _probes(runs), start.device == "cuda"
    forms = product(_dtypes(start.device), _FORMS[start.device])
    candidates = [start.model_copy(update={"dtype": dtype, "attention": form}) for dtype, form in forms]
    found = _costs(probes, candidates, beside)
    right = found[start].norms
    sound = [each for each in candidates if each == start or _is_sound(each, found[each], right)]
    best = min(sound, key=lambda candidate: found[candidate].train_s), beside
    costs, ends = {best: found[best[0]]}, {best: _end(runs, probes, found[best[0]], beside)}
    for way in _divided(best[0], beside, compute):
        cost = _tried(probes, *way, right)
        if cost is None:
            break
        costs[way], ends[way] = cost, _end(runs, probes, cost, way[1])
        if on_gpu and ends[way] > min(ends.values()):
            break
    best = min(ends, key=lambda way: ends[way])
    ends |= _compiled(runs, probes, best, costs[best], right)
    for (numerics, many), end_s in ends.items():
        say("plan", f"{_described(numerics)}, {many} at once: {end_s / 60:.1f} minutes")
    return min(ends, key=lambda way: ends[way])


def _compiled(
    runs: Sequence[RunSpec], probes: Sequence[RunSpec], way: Way, cost: Cost, right: Norms
) -> dict[Way, float]:
    """The way whose steps cost so much, compiled, and when it ends; nothing where that cannot be had, or won back."""
    (numerics, beside), ends = way, {}
    end_s = _end(runs, probes, cost, beside)
    if end_s * _COMPILED_SAVES[numerics.device] < _compiling(runs, Cost((), _COLD, _CACHED), numerics, beside):
        return {}
    longest = sorted(range(len(probes)), key=lambda probe: -cost.each_s[probe])
    masked = [probe for probe in longest if is_masked(probes[probe])]
    longest = sorted(longest, key=lambda probe: probe not in masked[:1])[:_COMPILED_PROBES]
    before_s = sum(cost.each_s[probe] for probe in longest)
    for compiled in _compilable(numerics, masks=bool(masked)):
        now = _tried([probes[probe] for probe in longest], compiled, beside, right)
        if now is not None:
            ends[compiled, beside] = end_s * now.train_s / before_s + _compiling(runs, now, compiled, beside)
    return ends


def _compilable(numerics: Numerics, *, masks: bool) -> list[Numerics]:
    """Ways to have it compiled; on a GPU with its launches recorded too, and masks passed over where there are any."""
    if numerics.device == "cpu":
        return [numerics.model_copy(update={"compile": True})]
    forms = ["sdpa", "flex"] if masks else ["sdpa"]
    ways = product(forms, [True, "graphs"])
    return [numerics.model_copy(update={"attention": form, "compile": how}) for form, how in ways]


def _divided(numerics: Numerics, beside: int, compute: Compute) -> Iterator[Way]:
    """The machine divided otherwise: fewer runs at once, of more threads each, no core idle; but more of them on a GPU.

    There one small model's launches leave it idle, and another's can fill the time.
    """
    if numerics.device == "cuda":
        while not compute.workers and 2 * beside <= cores():
            beside *= 2
            yield numerics, beside
    elif not compute.threads:
        for threads in range(2, cores() + 1):
            if cores() % threads == 0:
                other = numerics.model_copy(update={"threads": threads})
                yield other, workers(compute, other)


def _tried(probes: Sequence[RunSpec], numerics: Numerics, beside: int, right: Norms) -> Cost | None:
    """None where it cannot be done here: no compiler, no memory for so many, other gradients than the right ones."""
    try:
        cost = _costs(probes, [numerics], beside)[numerics]
    except Exception as error:  # noqa: BLE001 - whatever a compiler or a driver raises, the plan can do without
        say("plan", f"{_described(numerics)}, {beside} at once: cannot be had here: {reason(error)}")
        return None
    return cost if _is_sound(numerics, cost, right) else None


def _is_sound(numerics: Numerics, cost: Cost, right: Norms) -> bool:
    """Whether its gradients are as long as they are by the library's kernels in float32."""
    for probe, norms in cost.norms.items():
        for norm, expected in zip(norms, right[probe], strict=True):
            if not math.isclose(norm, expected, rel_tol=_SAME, abs_tol=_NOTHING * max(right[probe])):
                say("plan", f"{_described(numerics)}: left out, a gradient's norm is {norm:.4g} for {expected:.4g}")
                return False
    return True


def _compiling(runs: Sequence[RunSpec], cost: Cost, numerics: Numerics, beside: int) -> float:
    """Seconds: each run traces anew, but code is made once for all that differ in seed, steps and rows alone.

    Graphs are of one number of rows.
    """
    least = math.inf if numerics.compile == "graphs" else 2
    made = {alike(run.model_copy(update={"rows_per_batch": min(run.rows_per_batch, least)})) for run in runs}
    return (len(made) * (cost.first_s - cost.again_s) + len(runs) * cost.again_s) / beside


def _described(numerics: Numerics) -> str:
    compiled = {False: "", True: "compiled, ", "graphs": "compiled as CUDA graphs, "}[numerics.compile]
    return f"{compiled}{numerics.dtype}, attention as {numerics.attention}, {numerics.threads} threads a run"


def _dtypes(device: str) -> list[str]:
    """bfloat16 only where its matmuls are the faster: a processor without it takes a hundred times as long."""
    squares = {
        dtype: torch.ones(512, 512, dtype=getattr(torch, dtype), device=device) for dtype in ("float32", "bfloat16")
    }
    times = dict.fromkeys(squares, float("inf"))
    for _ in range(12):  # in turns, the fastest of each: other work on the machine must not decide
        for dtype, square in squares.items():
            start = perf_counter()
            torch.mm(square, square).sum().item()
            times[dtype] = min(times[dtype], perf_counter() - start)
    return [dtype for dtype in times if times[dtype] <= times["float32"]]


def _probes(runs: Sequence[RunSpec]) -> list[RunSpec]:
    """Each arm's smallest and largest model at its largest budget, those that compute the same once."""
    found = {}
    for arm in dict.fromkeys(run.arm for run in runs):
        own = [run for run in runs if run.arm == arm]
        top = [run for run in own if run.budget_flops == max(run.budget_flops for run in own)]
        top.sort(key=lambda run: run.non_embedding_parameters)
        found |= {alike(run): run for run in (top[0], top[-1])}
    return list(found.values())


def _costs(probes: Sequence[RunSpec], candidates: Sequence[Numerics], beside: int) -> dict[Numerics, Cost]:
    """Each candidate's cost where `beside` processes do the same at once; the slowest counts."""
    grid = [[probe.model_copy(update={"numerics": candidate}) for candidate in candidates] for probe in probes]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(beside, context, _meet, (context.Barrier(beside),)) as pool:
        everyone = list(pool.map(_clock, [grid] * beside, range(beside)))
    costs = {}
    for column, candidate in enumerate(candidates):
        first_s, again_s, step_s = (
            [max(times[row][column][0][which] for times in everyone) for row in range(len(probes))]
            for which in range(3)
        )
        each_s = tuple(probe.steps * each for probe, each in zip(probes, step_s, strict=True))
        norms = {alike(probe): everyone[0][row][column][1] for row, probe in enumerate(probes)}
        costs[candidate] = Cost(each_s, fmean(first_s), fmean(again_s), norms)
    return costs


def _meet(barrier: Barrier) -> None:
    """Wait in each process until all have loaded their libraries: none is to be timed alone."""
    import bytegap.plan.estimate  # noqa: F401

    barrier.wait()


def _clock(grid: list[list[RunSpec]], number: int) -> list[list[tuple[tuple[float, float, float], tuple[float, ...]]]]:
    """Of each run (first step, another run's first, median of its later ones), in seconds, and its gradients' norms.

    Those of a row are interleaved.
    """
    settle(number)
    result = []
    for row in grid:
        first = [stepper(spec)[0]() for spec in row]
        steps = [stepper(spec) for spec in row]
        later = zip(*([(step(), norms()) for step, norms in steps] for _ in range(1 + _ROUNDS)), strict=True)
        times = []
        for first_s, ran in zip(first, later, strict=True):
            seconds, norms = zip(*ran, strict=True)
            times.append(((first_s, seconds[0], median(seconds[1:])), tuple(chain.from_iterable(norms))))
        result.append(times)
    return result


def _end(runs: Sequence[RunSpec], probes: Sequence[RunSpec], cost: Cost, beside: int) -> float:
    """Seconds until the last run ends, longest first, at the probes' FLOPs a second."""
    flops_a_s = sum(probe.flops for probe in probes) / cost.train_s
    busy_until = [0.0] * beside
    for flops in sorted((run.flops for run in runs), reverse=True):
        heapq.heapreplace(busy_until, busy_until[0] + flops / flops_a_s)
    return max(busy_until)
