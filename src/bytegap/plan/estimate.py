"""What a run takes on this machine: its steps, timed on random symbols; memory and disk, counted."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from bytegap import numerics, plugins
from bytegap.objectives._base import Question, Vocabulary
from bytegap.records import RunSpec

_TIMED_STEPS = 3
_RATE = 1e-5  # so low that rounding does not send the steps of two ways of computing apart
LOADED_BYTES = 3.2e8  # the libraries alone
COMPILER_BYTES = 2.5e8
_BYTES_A_PARAMETER = 4 + 12  # the finished weights, and the checkpoint's weights and two moments


def stepper(spec: RunSpec) -> tuple[Callable[[], float], Callable[[], tuple[float, ...]]]:
    """Two functions: take a step of the run's shape, batch and numerics, in seconds; the norms of its gradients.

    A norm for each third of a matrix, so that queries, keys and values have their own: of all weights together it would
    hardly show what is lost of one.
    """
    torch.set_num_threads(spec.numerics.threads)
    objective = plugins.load("objectives", spec.objective)
    model, ask = _prepared(spec)
    gradients = numerics.gradients(model, spec.numerics, objective.loss)
    adam = torch.optim.AdamW(model.parameters(), lr=_RATE, fused=True)

    def step() -> float:
        start = time.perf_counter()
        adam.zero_grad()
        gradients(ask(), spec.rows_per_batch * spec.row_symbols)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()  # waits for the device
        adam.step()
        return time.perf_counter() - start

    def norms() -> tuple[float, ...]:
        found = [weight.grad for weight in model.parameters() if weight.grad is not None and weight.ndim > 1]
        thirds = [third.norm() for gradient in found for third in gradient.chunk(3)]
        return tuple(torch.stack(thirds).tolist())

    return step, norms


def alike(spec: RunSpec) -> str:
    """What a step's time depends on, numerics apart, as a key."""
    return str((spec.objective, spec.objective_options, spec.model, spec.shape, spec.row_symbols, spec.rows_per_batch))


def seconds_a_step(spec: RunSpec) -> float:
    """Median of a few steps after the first."""
    step, _ = stepper(spec)
    step()
    return median(step() for _ in range(_TIMED_STEPS))


def is_masked(spec: RunSpec) -> bool:
    """Whether the run's objective says by a mask which positions see which."""
    return _asking(spec)().sight.mask_PP is not None


def peak_bytes(spec: RunSpec) -> float:
    """Memory of the process that trains the run, at its largest, on CPU.

    What autograd keeps is counted on one row and on two, and goes on from there. To it come a chunk of logits, and
    weights, their gradients and two moments; once in a run, with the step behind it, the weights before an update. What
    the allocator keeps of freed memory is not in it, nor pages of the mapped text, which all workers share. Measured
    peaks of runs of 134M parameters lay within 15 % (docs/log.md).
    """
    plain = spec.numerics.model_copy(update={"compile": False})
    one, two = (_kept(spec.model_copy(update={"rows_per_batch": rows, "numerics": plain})) for rows in (1, 2))
    kept = one + (spec.rows_per_batch - 1) * (two - one)
    options = plugins.options("objectives", spec.objective, spec.objective_options)
    answers = spec.rows_per_batch * plugins.load("objectives", spec.objective).row(spec.row_symbols, options).supervised
    ids = spec.shape["vocabulary"]
    logits = min(answers, numerics.answers_at_once(spec.numerics.device, ids)) * ids
    parameters = spec.embedding_parameters + spec.head_parameters + spec.non_embedding_parameters
    loaded = LOADED_BYTES + (COMPILER_BYTES if spec.numerics.compile else 0)
    return loaded + 16 * parameters + max(kept + 3 * 4 * logits, 4 * parameters)


def _kept(spec: RunSpec) -> int:
    """Bytes that autograd keeps of a forward, the head's apart."""
    model, ask = _prepared(spec)
    own = {weight.untyped_storage().data_ptr() for weight in model.state_dict(keep_vars=True).values()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    question = ask()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        alive = numerics.features(model, spec.numerics)(question.inputs_BP, question.positions_M, question.sight)
    del alive
    return sum(kept.values())


def _prepared(spec: RunSpec) -> tuple[Any, Callable[[], Question]]:
    """The run's model as it starts, and its questions, on its device."""
    module = plugins.load("models", spec.model)
    model = module.build(module.Shape(**spec.shape))
    model.initialise(0)
    ask = _asking(spec)
    return numerics.place(model, spec.numerics), lambda: ask().to(spec.numerics.device)


def _asking(spec: RunSpec) -> Callable[[], Question]:
    """Batches of random symbols, asked as the run's objective asks."""
    objective = plugins.load("objectives", spec.objective)
    options = plugins.options("objectives", spec.objective, spec.objective_options)
    vocabulary = Vocabulary(spec.shape["vocabulary"] - 3)
    generator = torch.Generator().manual_seed(0)
    symbols_BS = torch.randint(vocabulary.symbols, (spec.rows_per_batch, spec.row_symbols), generator=generator)

    # At this u masking hides its mean share, so that all steps are alike; those of a run differ, but are many.
    u_B = torch.full((spec.rows_per_batch,), 3**-0.5)
    return lambda: objective.ask(symbols_BS, u_B, generator, vocabulary, options)


def disk_bytes(spec: RunSpec) -> int:
    """Of one run's folder at its largest."""
    total = spec.embedding_parameters + spec.head_parameters + spec.non_embedding_parameters
    return total * _BYTES_A_PARAMETER
