"""One training step of a planned run, on random tokens, for timing. Reads and writes nothing."""

# torch leaves the types of a few of the methods used here partly unknown.
# pyright: reportUnknownMemberType=false

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import cast

import torch
from torch import Tensor

from bytegap.data.vocabulary import Vocabulary
from bytegap.lm.execution import gradient_fn, to_device
from bytegap.models.base import ModelConfig, Network, model_family
from bytegap.objectives.base import Batch, Sequences, objective
from bytegap.schema.plan import RunSpec

_TIMED_STEPS = 3
_LEARNING_RATE = 1e-5  # so low that rounding does not make the steps of two backends diverge
_MEAN_TIME = 3**-0.5  # at which masking hides its mean share, so that all steps cost the same


@dataclass(frozen=True)
class Step:
    """A training step that can be repeated."""

    take: Callable[[], float]
    """Takes one step; its seconds."""
    gradient_norms: Callable[[], tuple[float, ...]]
    """Norms of the last step's gradients, three for each matrix: one for each third of its rows.

    So queries, keys and values have norms of their own; a single norm would hardly show an error in one of them.
    """


def make_step(run: RunSpec) -> Step:
    """A step of the run's size, batch size and execution, from the run's initial weights; sets torch's threads."""
    torch.set_num_threads(run.execution.threads)
    network, next_batch = initial_network(run), random_batches(run)
    gradients = gradient_fn(network, run.execution, objective(run.objective, run.objective_options).loss)
    adam = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, fused=True)

    def take() -> float:
        start = time.perf_counter()
        adam.zero_grad()
        gradients(next_batch(), run.batch_size * run.seq_len)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0).item()  # waits for the device
        adam.step()
        return time.perf_counter() - start

    def gradient_norms() -> tuple[float, ...]:
        found = [weight.grad for weight in network.parameters() if weight.grad is not None and weight.ndim > 1]
        norms: list[Tensor] = [third.norm() for gradient in found for third in gradient.chunk(3)]
        return tuple(cast("list[float]", torch.stack(norms).tolist()))

    return Step(take, gradient_norms)


def step_signature(run: RunSpec) -> str:
    """A key equal for runs whose steps cost the same with the same execution."""
    return str((run.objective, run.objective_options, run.model, run.model_shape, run.seq_len, run.batch_size))


def seconds_per_step(run: RunSpec) -> float:
    """Median of a few steps after the first."""
    step = make_step(run)
    step.take()
    return median(step.take() for _ in range(_TIMED_STEPS))


def has_attention_mask(run: RunSpec) -> bool:
    """Whether the run's objective gives an explicit attention mask."""
    return random_batches(run)().attention.mask is not None


def model_config(run: RunSpec) -> ModelConfig:
    """The config of the run's model."""
    return model_family(run.model).config(run.model_shape)


def initial_network(run: RunSpec) -> Network:
    """The run's network with initial weights, on its device and with its attention backend."""
    network = model_config(run).build()
    network.initialize(0)
    return to_device(network, run.execution)


def random_batches(run: RunSpec) -> Callable[[], Batch]:
    """A function that makes training batches of random tokens for the run's objective, on the run's device."""
    vocabulary = Vocabulary.from_n_ids(model_config(run).n_ids)
    rng = torch.Generator().manual_seed(0)
    sequences = Sequences(
        tokens_BS=torch.randint(vocabulary.vocab_size, (run.batch_size, run.seq_len), generator=rng),
        t_B=torch.full((run.batch_size,), _MEAN_TIME),
        rng=rng,
        vocabulary=vocabulary,
    )
    part = objective(run.objective, run.objective_options)
    return lambda: part.training_batch(sequences).to(run.execution.device)
