"""What a run takes on this machine: its steps, timed on random symbols; disk from the sizes of what is written."""

import time
from collections.abc import Callable
from statistics import median

import torch

from bytegap import numerics, plugins
from bytegap.objectives._base import Vocabulary
from bytegap.records import RunSpec

_TIMED_STEPS = 3
_BYTES_A_PARAMETER = 4 + 12  # the finished weights, and the checkpoint's weights and two moments


def stepper(spec: RunSpec) -> Callable[[], float]:
    """A function that takes one training step of the run's shape, batch and numerics, and says how many seconds."""
    torch.set_num_threads(spec.numerics.threads)
    module = plugins.load("models", spec.model)
    objective = plugins.load("objectives", spec.objective)
    options = plugins.options("objectives", spec.objective, spec.objective_options)
    model = module.build(module.Shape(**spec.shape))
    model.initialise(0)
    model = numerics.place(model, spec.numerics)
    features = numerics.features(model, spec.numerics)
    head = numerics.head(model, spec.numerics)
    adam = torch.optim.AdamW(model.parameters(), fused=True)
    vocabulary = Vocabulary(spec.shape["vocabulary"] - 3)
    generator = torch.Generator().manual_seed(0)
    symbols_BS = torch.randint(vocabulary.symbols, (spec.rows_per_batch, spec.row_symbols), generator=generator)

    def step() -> float:
        start = time.perf_counter()
        u_B = torch.rand(spec.rows_per_batch, generator=generator).clamp(min=1e-3)
        question = objective.ask(symbols_BS, u_B, generator, vocabulary, options).to(spec.numerics.device)
        logits_MV = head(features(question.inputs_BP, question.positions_M))
        loss = objective.loss(logits_MV, question).weighted_nats_B.sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()  # waits for the device
        return time.perf_counter() - start

    return step


def seconds_a_step(spec: RunSpec) -> float:
    """Median of a few steps after the first."""
    step = stepper(spec)
    step()
    return median(step() for _ in range(_TIMED_STEPS))


def disk_bytes(spec: RunSpec) -> int:
    """Of one run's folder at its largest."""
    total = spec.embedding_parameters + spec.head_parameters + spec.non_embedding_parameters
    return total * _BYTES_A_PARAMETER
