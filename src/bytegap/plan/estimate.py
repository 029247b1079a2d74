"""What a plan will take on this machine: one step of each shape, timed; disk from the sizes of what is written."""

import time

import torch

from bytegap import plugins
from bytegap.objectives._base import Vocabulary
from bytegap.records import RunSpec

_TIMED_STEPS = 3
_BYTES_A_PARAMETER = 4 + 12  # the finished weights, and the checkpoint's weights and two moments


def seconds_a_step(spec: RunSpec) -> float:
    """Best of a few forwards and backwards of the run's own shape and batch, on random symbols."""
    torch.set_num_threads(spec.numerics.threads)
    module = plugins.load("models", spec.model)
    objective = plugins.load("objectives", spec.objective)
    options = plugins.options("objectives", spec.objective, spec.objective_options)
    model = module.build(module.Shape(**spec.shape))
    model.initialise(0)
    vocabulary = Vocabulary(spec.shape["vocabulary"] - 3)
    generator = torch.Generator().manual_seed(0)
    symbols_BS = torch.randint(vocabulary.symbols, (spec.rows_per_batch, spec.row_symbols), generator=generator)
    u_B = torch.rand(spec.rows_per_batch, generator=generator).clamp(min=1e-3)
    times = []
    for _ in range(_TIMED_STEPS):
        start = time.perf_counter()
        question = objective.ask(symbols_BS, u_B, generator, vocabulary, options)
        logits_MV = model(question.inputs_BP, question.positions_M)
        objective.loss(logits_MV, question).weighted_nats_B.sum().backward()
        times.append(time.perf_counter() - start)
    return min(times)


def disk_bytes(spec: RunSpec) -> int:
    """Of one run's folder at its largest."""
    total = spec.embedding_parameters + spec.head_parameters + spec.non_embedding_parameters
    return total * _BYTES_A_PARAMETER
