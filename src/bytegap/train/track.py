"""A run's curves for who watches it: TensorBoard's files in the study's folder, or Weights & Biases.

Writes tensorboard/{symbols,megaflops}/ARM-RUN/, a folder for each x axis, or wandb/. Nothing of this reaches the run:
its record is the same to the bit whoever watches.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import numpy as np

from bytegap.errors import StudyError
from bytegap.records import RunRecord
from bytegap.store import Folder
from bytegap.study import Track
from bytegap.train.loop import Training, learning_rate

_POINTS = 256
"""Stretches that a run is told in."""
_PACKAGES = {"tensorboard": ("tensorboardX", "bytegap[track]"), "wandb": ("wandb", "wandb")}

Log = Callable[[int, dict[str, float]], None]
"""Told, after so many steps, what the values are by then."""


def check(track: Track | None) -> None:
    """StudyError where the package that curves are written with is not installed."""
    if track and not importlib.util.find_spec(_PACKAGES[track.to][0]):
        package, wanted = _PACKAGES[track.to]
        message = f"[track] to = '{track.to}' needs the package {package}: pip install '{wanted}', or leave [track] out"
        raise StudyError(message)


class Curves:
    """Loss, gradient norm, learning rate and speed, a point for each stretch of steps; then the scores.

    Which steps a point stands for depends on the run alone: one that was killed and resumed has the same points.
    """

    def __init__(self, training: Training, log: Log | None) -> None:
        self.training, self.log = training, log
        self.stretch = ceil(training.spec.steps / _POINTS)
        self.told, self.told_s = training.step, time.monotonic()

    def take(self) -> None:
        """After a step: tells of its stretch, if that ends here."""
        training, spec, step = self.training, self.training.spec, self.training.step
        if self.log is None or (step % self.stretch and step != spec.steps):
            return
        ledger, first, now = training.ledger, (step - 1) // self.stretch * self.stretch, time.monotonic()
        self.log(
            step,
            {
                "loss_nats": float(np.mean(ledger.losses[first:step])),
                "gradient_norm": float(np.mean(ledger.norms[first:step])),
                "learning_rate": learning_rate(spec.optimiser, step - 1, spec.steps),
                "symbols_per_s": (step - self.told) * spec.symbols / spec.steps / max(now - self.told_s, 1e-9),
            },
        )
        self.told, self.told_s = step, now

    def end(self, record: RunRecord) -> None:
        """The scores of a run that has them."""
        if self.log and record.validation and record.test:
            self.log(record.steps, {"validation_bpb": record.validation.bpb, "test_bpb": record.test.bpb})


@contextmanager
def curves(track: Track | None, training: Training, folder: Folder) -> Iterator[Curves]:
    """Those of one run, going on where it does; of many devices the first tells."""
    if track is None or not training.devices.is_first:
        yield Curves(training, None)
        return
    check(track)
    with (_tensorboard if track.to == "tensorboard" else _wandb)(track, training, folder) as log:
        yield Curves(training, log)


@contextmanager
def _tensorboard(track: Track, training: Training, folder: Folder) -> Iterator[Log]:
    """What an interrupted run had told beyond the step that it goes on from is purged."""
    del track
    from tensorboardX import SummaryWriter

    axes = _axes(training)
    writers = {
        axis: SummaryWriter(
            str(folder.root / "tensorboard" / axis / f"{training.spec.arm}-{training.spec.id}"),
            purge_step=int(unit * training.step) + 1,
            max_queue=1000,
            flush_secs=10,
            filename_suffix=f".{training.step}",  # of two within a second, the second would replace the first
        )
        for axis, unit in axes.items()
    }

    def log(steps: int, values: dict[str, float]) -> None:
        for axis, unit in axes.items():
            for name, value in values.items():
                writers[axis].add_scalar(name, value, int(unit * steps))

    try:
        yield log
    finally:
        for writer in writers.values():
            writer.close()


@contextmanager
def _wandb(track: Track, training: Training, folder: Folder) -> Iterator[Log]:
    """By its own client, which reads WANDB_MODE and all else from the environment; steps told before are dropped."""
    wandb: Any = importlib.import_module("wandb")
    axes, spec = _axes(training), training.spec
    try:
        run = wandb.init(
            project=track.project or folder.root.name,
            id=spec.id,
            name=f"{spec.arm}-{spec.id}",
            group=spec.arm,
            config=spec.planned,
            dir=str(folder.root),
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
    except wandb.Error as error:
        first = str(error).split(". ")[0].rstrip(".")
        message = f"[track] to = 'wandb': {first}: run 'wandb login', set WANDB_MODE=offline, or leave [track] out"
        raise StudyError(message) from None
    run.define_metric("*", step_metric="symbols")

    def log(steps: int, values: dict[str, float]) -> None:
        run.log(values | {axis: unit * steps for axis, unit in axes.items()}, step=steps)

    try:
        yield log
    finally:
        run.finish()


def _axes(training: Training) -> dict[str, float]:
    """What a step is in each unit of an x axis. TensorBoard's are whole numbers below 2^63: FLOPs may be too many."""
    spec = training.spec
    return {"symbols": spec.symbols / spec.steps, "megaflops": spec.flops / spec.steps / 1e6}
