"""The executions that can be chosen: dtype, attention backend, compilation, threads a run and workers."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter

import torch

from bytegap.lm.language_model import auto_device
from bytegap.schema.plan import Execution
from bytegap.study.config import Compute

_ATTENTION = {"cpu": ("sdpa", "matmul"), "cuda": ("sdpa",)}
_DTYPES = ("float32", "bfloat16")
_MATMUL_ROUNDS = 12
_MOST_THREADS = 16
"""Of a run, on another machine."""


@dataclass(frozen=True)
class ExecutionPlan:
    """How runs are executed, and how many at the same time."""

    execution: Execution
    workers: int
    expected_s: float | None = field(default=None, compare=False)
    """Seconds until the last run ends, as benchmarked; None where nothing was."""


def default_execution(compute: Compute) -> Execution:
    """The execution that is right everywhere: float32, PyTorch's attention, one thread, not compiled."""
    return Execution(
        device=auto_device(), dtype="float32", threads=compute.threads or 1, attention="sdpa", compile=False
    )


def default_workers(compute: Compute, execution: Execution) -> int:
    """Runs at the same time: one for each GPU, or as many as have CPU threads of their own."""
    available = torch.cuda.device_count() if execution.device == "cuda" else available_cores() // execution.threads
    return compute.workers or max(1, available)


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def eager_candidates(start: Execution) -> list[Execution]:
    """`start` and its variants in dtype and attention backend, not compiled."""
    variants = product(usable_dtypes(start.device), _ATTENTION[start.device])
    return [start.model_copy(update={"dtype": dtype, "attention": attention}) for dtype, attention in variants]


def usable_dtypes(device: str) -> list[str]:
    """float32, and bfloat16 if its matmuls are at least as fast: on some processors they take 100 times as long."""
    squares = {dtype: torch.ones(512, 512, dtype=getattr(torch, dtype), device=device) for dtype in _DTYPES}
    best_s = dict.fromkeys(squares, float("inf"))
    for _ in range(_MATMUL_ROUNDS):  # interleaved, and the fastest of each: other work must not decide
        for dtype, square in squares.items():
            start = perf_counter()
            torch.mm(square, square).sum().item()
            best_s[dtype] = min(best_s[dtype], perf_counter() - start)
    return [dtype for dtype in best_s if best_s[dtype] <= best_s["float32"]]


def compiled_candidates(execution: Execution, *, has_masks: bool) -> list[Execution]:
    """Compiled variants; on a GPU also as CUDA graphs, and with `flex` attention where a run has an attention mask.

    `flex` skips blocks of masked pairs.
    """
    if execution.device == "cpu":
        return [execution.model_copy(update={"compile": True})]
    variants = product(["sdpa", "flex"] if has_masks else ["sdpa"], [True, "graphs"])
    return [execution.model_copy(update={"attention": attention, "compile": how}) for attention, how in variants]


def all_executions(compute: Compute) -> Iterator[Execution]:
    """Every execution that any machine with this one's kind of device could have chosen for the study."""
    start = default_execution(compute)
    on_cpu = start.device == "cpu"
    attention = _ATTENTION["cpu"] if on_cpu else ("sdpa", "flex")
    threads = [compute.threads] if compute.threads else range(1, _MOST_THREADS + 1) if on_cpu else [1]
    compiled = (False, True) if on_cpu else (False, True, "graphs")
    for count, dtype, backend, how in product(threads, _DTYPES, attention, compiled):
        yield start.model_copy(update={"dtype": dtype, "attention": backend, "compile": how, "threads": count})


def worker_splits(plan: ExecutionPlan, compute: Compute) -> Iterator[ExecutionPlan]:
    """Other splits of the machine, where the study leaves it open.

    On a CPU: fewer runs at the same time with more threads each, using all cores.
    On a GPU: twice as many runs at a time, and so on: the launches of one small model leave it idle for part of the
    time, which another can use.
    """
    if plan.execution.device == "cuda":
        workers = plan.workers
        while not compute.workers and 2 * workers <= available_cores():
            workers *= 2
            yield ExecutionPlan(plan.execution, workers)
    elif not compute.threads:
        for threads in range(2, available_cores() + 1):
            if available_cores() % threads == 0:
                execution = plan.execution.model_copy(update={"threads": threads})
                yield ExecutionPlan(execution, default_workers(compute, execution))


def describe(execution: Execution) -> str:
    """The execution in words, for log lines."""
    compiled = {False: "", True: "compiled, ", "graphs": "compiled as CUDA graphs, "}[execution.compile]
    return f"{compiled}{execution.dtype}, attention by {execution.attention}, {execution.threads} threads a run"
