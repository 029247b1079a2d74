"""The training loop. Everything random derives from (seed, step), so a resumed run is bit-identical to an unbroken one.

B rows, S symbols a row, M supervised positions, V ids.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bytegap import numerics, plugins
from bytegap.console import say
from bytegap.likelihood import lattice, stream
from bytegap.objectives._base import Question, Vocabulary
from bytegap.records import Optimiser, RunSpec
from bytegap.train.devices import Devices, whole
from bytegap.train.ledger import Ledger
from bytegap.windows import Rows

ONE = Devices()
_STRETCHES, _LEAST_STRETCH = 20, 10
"""Of a run, after each of which its loss is held against where it began; steps that one has at least."""


class Divergence(Exception):
    """The loss or the gradient is no longer a number, or the loss has gone up for good."""


class Training:
    """A run in progress: model, optimiser, ledger, and the step they stand at."""

    def __init__(
        self, spec: RunSpec, tokens_stream: np.ndarray, devices: Devices = ONE, starts: np.ndarray | None = None
    ) -> None:
        self.spec, self.devices = spec, devices
        self.objective = plugins.load("objectives", spec.objective)
        self.options = plugins.options("objectives", spec.objective, spec.objective_options)
        self.order = plugins.load("orders", spec.order)
        self.order_options = plugins.options("orders", spec.order, spec.order_options)
        self.module = plugins.load("models", spec.model)
        shape = self.module.Shape(**spec.shape)
        self.costs = self.module.costs(shape)
        self.vocabulary = Vocabulary(shape.vocabulary - 3)
        model = self.built()
        model.initialise(spec.seed)
        devices.lay(model)
        self.model: Any = numerics.place(model, spec.numerics)
        self.ledger = Ledger()
        self.step = 0
        self.computed = spec.numerics
        if devices.sharded:  # its weights are gathered anew at each step, where no recorded graph would look for them
            self.computed = self.computed.model_copy(update={"compile": bool(self.computed.compile)})
        try:
            self.gradients = numerics.gradients(self.model, self.computed, self.objective.loss)
        except Exception as error:  # noqa: BLE001 - whatever a compiler raises
            self._fall_back(error)
        self.rows = Rows(tokens_stream, spec.row_symbols, spec.seed)
        self.starts = None if starts is None else Rows(starts, spec.row_symbols, spec.seed)
        self.adam = adam(self.model, spec.optimiser)

    def built(self) -> Any:
        """The model, on the host and not yet initialised."""
        return self.module.build(self.module.Shape(**self.spec.shape))

    def question(self, step: int) -> Question:
        """Batch `step`: rows in their order, asked as the objective asks; on the host."""
        generator = stream(self.spec.seed, step)
        symbols_BS, keys_B = self.rows.batch(step, self.spec.rows_per_batch)
        symbols_BS = torch.from_numpy(self.order.permute(symbols_BS, keys_B, self.order_options))
        u_B = lattice(self.spec.rows_per_batch, generator)
        more = {}
        if self.starts:  # what the objective asked to be told of these rows
            more["starts_BS"] = torch.from_numpy(self.starts.batch(step, self.spec.rows_per_batch)[0]).bool()
        question: Question = self.objective.ask(symbols_BS, u_B, generator, self.vocabulary, self.options, **more)
        return question

    def pieces(self, step: int) -> list[Question]:
        """This device's share of batch `step`, laid on it."""
        return [piece.to(self.spec.numerics.device) for piece in self.devices.pieces(self.question(step))]

    def steps(self) -> Iterator[int]:
        """Train to the planned end, yielding after each step how many are done; Divergence if it blows up."""
        spec, optimiser = self.spec, self.spec.optimiser
        symbols = spec.rows_per_batch * spec.row_symbols
        stretch = max(_LEAST_STRETCH, spec.steps // _STRETCHES)
        pieces = self.pieces(self.step)
        while self.step < spec.steps:
            self.adam.zero_grad()
            nats, supervised = zip(*self._filled(pieces, symbols), strict=True)
            sums = self.devices.sum_up(self.model, torch.stack(nats).sum(), sum(supervised))
            norm = whole(nn.utils.clip_grad_norm_(self.model.parameters(), optimiser.clip_norm))
            pieces = self.pieces(self.step + 1)  # asked while a GPU is still at this step
            (loss, supervised), norm = sums.tolist(), norm.item()
            if not (math.isfinite(norm) and math.isfinite(loss)):
                message = f"gradient norm {norm} at step {self.step}, loss {loss:.4g} nats a symbol"
                raise Divergence(message)
            for group in self.adam.param_groups:
                group["lr"] = learning_rate(optimiser, self.step, spec.steps)
            with self.ledger.watching_update(self.model, self.step == spec.steps // 2):
                self.adam.step()
            self.ledger.add(loss, norm, int(supervised), optimiser.clip_norm)
            self.step += 1
            if self.step % stretch == 0 and self.ledger.is_above_its_start(stretch):
                message = f"the loss rose above its start: {loss:.4g} nats a symbol at step {self.step}"
                raise Divergence(message)
            yield self.step

    def _filled(self, pieces: list[Question], symbols: int) -> list[tuple[Tensor, int]]:
        """Fill the weights' gradients from one batch; where compiled code fails, it is taken again in eager code.

        The run then stays with eager code, also when it is resumed. An error that eager code raises too is no fault of
        the compiler, and is raised.
        """
        if self.computed.compile and self.ledger.compile_error:  # of a run that is resumed
            self._compute_eagerly()
        try:
            return [self.gradients(piece, symbols) for piece in pieces]
        except Exception as error:  # noqa: BLE001 - whatever a compiler, a guard or compiled code raises
            self._fall_back(error)
        self.adam.zero_grad()
        return [self.gradients(piece, symbols) for piece in pieces]

    def _fall_back(self, error: Exception) -> None:
        """Compute eagerly from here on, and say so in the log and the ledger; raises what compiling is no cause of.

        Devices that share out one model cannot take a step again alone.
        """
        if not self.computed.compile or self.devices.sharded or numerics.is_out_of_memory(error):
            raise error
        self.ledger.compile_error = f"step {self.step}: {numerics.reason(error)}"
        say("train", f"run {self.spec.id} computes eagerly: compiled code failed at {self.ledger.compile_error}")
        self._compute_eagerly()

    def _compute_eagerly(self) -> None:
        self.computed = self.computed.model_copy(update={"compile": False})
        self.gradients = numerics.gradients(self.model, self.computed, self.objective.loss)


def learning_rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """Linear warm-up to the peak, then linear decay to zero."""
    if step < optimiser.warmup_steps:
        return optimiser.learning_rate * (step + 1) / optimiser.warmup_steps
    return optimiser.learning_rate * (steps - step) / (steps - optimiser.warmup_steps)


def adam(model: nn.Module, optimiser: Optimiser) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); weight decay on matrices only."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    gains = [weight for weight in model.parameters() if weight.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": optimiser.weight_decay},
            {"params": gains, "weight_decay": 0.0},
        ],
        lr=optimiser.learning_rate,
        betas=(optimiser.beta1, optimiser.beta2),
        eps=optimiser.epsilon,
        fused=True,
    )
