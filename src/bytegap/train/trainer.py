"""The training loop, the same for every arm.

Everything random derives from (seed, step), so a resumed run is bit-identical to one that was never interrupted.

B sequences, S tokens a sequence, M supervised positions.
"""

# torch's own types are partial:
# pyright: reportUnknownMemberType=false

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bytegap.data.permutations.base import permutation
from bytegap.data.train_sequences import TrainSequences
from bytegap.data.vocabulary import Vocabulary
from bytegap.lm.execution import GradientFn, gradient_fn, is_out_of_memory, reason, to_device
from bytegap.lm.likelihood import rng_for, stratified_times
from bytegap.models.base import Network, model_family
from bytegap.objectives.base import Batch, Sequences, objective
from bytegap.schema.plan import RunSpec
from bytegap.study.config import Logging
from bytegap.train.metrics import TrainMetrics
from bytegap.train.optimizer import adam, learning_rate
from bytegap.train.parallel import SINGLE_DEVICE, Devices, full_tensor

_logger = logging.getLogger(__name__)
_STRETCHES, _MIN_STRETCH = 20, 10  # of a run, after each of which it is checked for divergence; steps in each


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out on this machine; none of it belongs to the run's spec."""

    micro_batch_size: int = 0
    """Rows through the network at once, gradients summed; 0: all of a device's rows."""
    logging: Logging | None = None
    """Where curves are logged."""
    devices: Devices = SINGLE_DEVICE


DEFAULT_OPTIONS = RunOptions()


class DivergenceError(Exception):
    """The loss or the gradient is not finite, or the loss rose above its start and stayed there."""


class Trainer:
    """A run in progress: network, optimizer, metrics, and the number of steps done."""

    def __init__(
        self,
        spec: RunSpec,
        stream: NDArray[np.generic],
        options: RunOptions = DEFAULT_OPTIONS,
        token_starts: NDArray[np.bool_] | None = None,
    ) -> None:
        """The run at its start.

        `stream` holds the tokens of the training split, `token_starts` where tokens of the objective's conditioning
        tokenizer begin in it, if it has one.
        """
        self.spec, self.options = spec, options
        self.objective = objective(spec.objective, spec.objective_options)
        self.permutation = permutation(spec.permutation, spec.permutation_options)
        self.config = model_family(spec.model).config(spec.model_shape)
        self.vocabulary = Vocabulary.from_n_ids(self.config.n_ids)
        network = self.config.build()
        network.initialize(spec.seed)
        self.devices.shard(network)
        self.network: Network = to_device(network, spec.execution)
        self.metrics = TrainMetrics()
        self.step = 0
        self.execution = spec.execution
        """As carried out; `spec.execution` is as planned."""
        if self.devices.sharded:  # weights are gathered in every step, where a recorded graph would not find them
            self.execution = self.execution.model_copy(update={"compile": bool(self.execution.compile)})
        try:
            self.gradient_fn = self._gradient_fn()
        except Exception as error:  # noqa: BLE001 - a compiler may raise anything
            self._fall_back(error)
        self.sequences = TrainSequences(stream, spec.seq_len, spec.seed)
        self.token_starts = None if token_starts is None else TrainSequences(token_starts, spec.seq_len, spec.seed)
        self.adam = adam(self.network, spec.optimizer)

    @property
    def devices(self) -> Devices:
        """The devices that train the run."""
        return self.options.devices

    def batch(self, step: int) -> Batch:
        """Batch `step`, permuted, on the CPU; a pure function of the spec and `step`."""
        rng = rng_for(self.spec.seed, step)
        tokens_BS, keys_B = self.sequences.batch(step, self.spec.batch_size)
        permuted_BS = torch.from_numpy(self.permutation.permute(tokens_BS, keys_B))
        t_B = stratified_times(self.spec.batch_size, rng)
        starts_BS = None
        if self.token_starts:
            starts_BS = torch.from_numpy(self.token_starts.batch(step, self.spec.batch_size)[0]).bool()
        return self.objective.training_batch(
            Sequences(permuted_BS, t_B, rng, self.vocabulary, token_starts_BS=starts_BS)
        )

    def micro_batches(self, step: int) -> list[Batch]:
        """This device's share of batch `step`, on the device."""
        share = self.devices.micro_batches(self.batch(step), self.options.micro_batch_size)
        return [micro_batch.to(self.spec.execution.device) for micro_batch in share]

    def steps(self) -> Iterator[int]:
        """Train to the planned end; yields the number of steps done after each one, raises DivergenceError."""
        spec, optimizer = self.spec, self.spec.optimizer
        tokens = spec.batch_size * spec.seq_len
        stretch = max(_MIN_STRETCH, spec.steps // _STRETCHES)
        micro_batches = self.micro_batches(self.step)
        while self.step < spec.steps:
            self.adam.zero_grad()
            nats, supervised = zip(*self._fill_gradients(micro_batches, tokens), strict=True)
            sums = self.devices.all_reduce_grads(self.network, torch.stack(nats).sum(), sum(supervised))
            norm = full_tensor(nn.utils.clip_grad_norm_(self.network.parameters(), optimizer.clip_norm))
            micro_batches = self.micro_batches(self.step + 1)  # made while a GPU is still at this step
            (loss, n_supervised), norm = cast("list[float]", sums.tolist()), norm.item()
            if not (math.isfinite(norm) and math.isfinite(loss)):
                raise DivergenceError(f"gradient norm {norm} at step {self.step}, loss {loss:.4g} nats per token")
            for group in self.adam.param_groups:
                group["lr"] = learning_rate(optimizer, self.step, spec.steps)
            with self.metrics.record_update_rms(self.network, enabled=self.step == spec.steps // 2):
                self.adam.step()
            self.metrics.add(loss, norm, int(n_supervised), optimizer.clip_norm)
            self.step += 1
            if self.step % stretch == 0 and self.metrics.has_diverged(stretch):
                raise DivergenceError(f"the loss rose above its start: {loss:.4g} nats per token at step {self.step}")
            yield self.step

    def _fill_gradients(self, micro_batches: list[Batch], tokens: int) -> list[tuple[Tensor, int]]:
        """Fill the weights' gradients from one batch; where compiled code fails, compute the step again in eager code.

        The run then stays eager, also when it is resumed.
        An error that eager code raises too is not the compiler's, and is raised.
        """
        if self.execution.compile and self.metrics.compile_error:  # of a resumed run
            self._compute_eagerly()
        try:
            return [self.gradient_fn(micro_batch, tokens) for micro_batch in micro_batches]
        except Exception as error:  # noqa: BLE001 - a compiler, a guard or compiled code may raise anything
            self._fall_back(error)
        self.adam.zero_grad()
        return [self.gradient_fn(micro_batch, tokens) for micro_batch in micro_batches]

    def _fall_back(self, error: Exception) -> None:
        """Compute eagerly from here on and note why; raises an error that compilation cannot have caused.

        Devices that share a sharded network cannot repeat a step alone.
        """
        if not self.execution.compile or self.devices.sharded or is_out_of_memory(error):
            raise error
        self.metrics.compile_error = f"step {self.step}: {reason(error)}"
        _logger.warning(
            "run %s computes eagerly: compiled code failed at %s",
            self.spec.id,
            self.metrics.compile_error,
            extra={"stage": "train"},
        )
        self._compute_eagerly()

    def _compute_eagerly(self) -> None:
        self.execution = self.execution.model_copy(update={"compile": False})
        self.gradient_fn = self._gradient_fn()

    def _gradient_fn(self) -> GradientFn:
        return gradient_fn(self.network, self.execution, self.objective.loss)
