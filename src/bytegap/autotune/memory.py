"""An estimate of the memory that a training process needs, and what this machine has. Writes nothing."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from bytegap.autotune.step_timer import initial_network, model_config, random_batches
from bytegap.errors import PlanError
from bytegap.lm.execution import body_fn, head_chunk_size
from bytegap.objectives.base import objective
from bytegap.schema.plan import RunSpec

LIBRARY_BYTES = 3.2e8
"""Resident memory of a process that has only imported the libraries."""
COMPILER_BYTES = 2.5e8
"""Added by torch.compile."""
STATE_BYTES = 16
"""Of each parameter: weight, gradient and two moments, in float32."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_memory(runs: Sequence[RunSpec], workers: int) -> None:
    """PlanError where weights, gradients and moments of the largest model alone do not fit this machine.

    On a CPU, those of `workers` such models must, which is what is timed at the same time.
    """
    largest = max(runs, key=lambda run: run.parameters)
    own, device = STATE_BYTES * largest.parameters, largest.execution.device
    fits = min(memory_bytes(device), process_memory_bytes()) if device == "cpu" else memory_bytes(device)
    what = (
        f"[arms.{largest.arm}]: its budget of {largest.budget_flops:.3g} FLOPs needs models too large for this "
        f"machine, of {largest.parameters:.3g} parameters, which take {own / 1e9:.3g} GB to train"
    )
    if own > fits:
        raise PlanError(
            f"{what}, and there are {fits / 1e9:.3g} GB: lower the budget or the hours, or plan where there is more "
            "memory"
        )
    if device == "cpu" and workers * own > (total := memory_bytes(device)):
        raise PlanError(
            f"{what} each, for {workers} workers at the same time, and there are {total / 1e9:.3g} GB: set [compute] "
            "workers to fewer, lower the budget or the hours, or plan where there is more memory"
        )


def memory_bytes(device: str) -> int:
    """Memory of one GPU, or of the machine or the container that this process is in."""
    if device == "cuda":
        return cast("int", torch.cuda.get_device_properties(0).total_memory)
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.is_file() else "max"
    return min(physical, int(limit)) if limit.isdigit() else physical


def process_memory_bytes() -> float:
    """Address space that this process may use (`ulimit -v`); infinite without a limit."""
    import resource  # not on every system

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def peak_bytes(run: RunSpec) -> float:
    """Peak resident memory of the process that trains the run, on a CPU.

    The sum of: the libraries; weights, their gradients and two moments; and the larger of what autograd saves together
    with three copies of a chunk of logits, and the copy of the weights by which one update is measured.
    What autograd saves is measured for batches of one and of two sequences, and extrapolated.
    Not included: freed memory that the allocator keeps, and pages of the mapped training text, which workers share.
    Measured peaks of runs of 134M parameters were within 15 % (docs/log.md).
    """
    execution = run.execution.model_copy(update={"compile": False})
    one, two = (
        saved_activation_bytes(run.model_copy(update={"batch_size": batch_size, "execution": execution}))
        for batch_size in (1, 2)
    )
    activations = one + (run.batch_size - 1) * (two - one)
    cost = objective(run.objective, run.objective_options).sequence_cost(run.seq_len)
    supervised = run.batch_size * cost.supervised
    n_ids = model_config(run).n_ids
    logits = min(supervised, head_chunk_size(run.execution.device, n_ids)) * n_ids
    fixed = LIBRARY_BYTES + (COMPILER_BYTES if run.execution.compile else 0)
    return fixed + STATE_BYTES * run.parameters + max(activations + 3 * 4 * logits, 4 * run.parameters)


def saved_activation_bytes(run: RunSpec) -> int:
    """Bytes of tensors that autograd saves in one forward pass of the body, weights not counted."""
    network, batch = initial_network(run), random_batches(run)()
    weights = {weight.untyped_storage().data_ptr() for weight in network.state_dict(keep_vars=True).values()}
    saved: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        features_MD = body_fn(network, run.execution)(batch.inputs_BP, batch.positions_M, batch.attention)
    del features_MD  # kept alive until here, so that no storage is freed and its address used again
    return sum(saved.values())
