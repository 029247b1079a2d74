"""Curves of a run, logged to TensorBoard files or Weights & Biases while it trains.

Writes tensorboard/{tokens,megaflops}/ARM-RUN/, a folder for each x axis, or wandb/.
Logging changes nothing in a run: its record is bit-identical with and without.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import ceil
from typing import Any

import numpy as np

from bytegap.errors import StudyError
from bytegap.schema.runs import RunRecord
from bytegap.study.config import Logging
from bytegap.study.directory import StudyDir
from bytegap.train.optimizer import learning_rate
from bytegap.train.trainer import Trainer

_POINTS = 256  # of a curve
_PACKAGES = {"tensorboard": ("tensorboardX", "bytegap[track]"), "wandb": ("wandb", "wandb")}

Log = Callable[[int, dict[str, float]], None]
"""Called with the steps done and the values by then, by name."""


def check(logging: Logging | None) -> None:
    """StudyError where the package that writes the curves is not installed."""
    if logging and not importlib.util.find_spec(_PACKAGES[logging.to][0]):
        package, requirement = _PACKAGES[logging.to]
        raise StudyError(
            f"[logging] to = '{logging.to}' needs the package {package}: pip install '{requirement}', "
            "or leave [logging] out"
        )


class RunLogger:
    """Logs loss, gradient norm, learning rate and speed, one point for each stretch of steps; then the scores.

    Stretches depend on the run alone: a run that was killed and resumed has the same points.
    """

    def __init__(self, trainer: Trainer, log: Log | None) -> None:
        """Without `log`, nothing is logged."""
        self._trainer, self._log = trainer, log
        self._stretch = ceil(trainer.spec.steps / _POINTS)
        self._logged_step, self._logged_s = trainer.step, time.monotonic()

    def log_step(self) -> None:
        """Call after each step: logs a point where a stretch ends."""
        spec, step = self._trainer.spec, self._trainer.step
        if self._log is None or (step % self._stretch and step != spec.steps):
            return
        metrics, start, now = self._trainer.metrics, (step - 1) // self._stretch * self._stretch, time.monotonic()
        seconds = max(now - self._logged_s, 1e-9)
        self._log(
            step,
            {
                "loss_nats": float(np.mean(metrics.losses[start:step])),
                "gradient_norm": float(np.mean(metrics.grad_norms[start:step])),
                "learning_rate": learning_rate(spec.optimizer, step - 1, spec.steps),
                "tokens_per_s": (step - self._logged_step) * spec.tokens / spec.steps / seconds,
            },
        )
        self._logged_step, self._logged_s = step, now

    def log_scores(self, record: RunRecord) -> None:
        """Log the scores of a run that has them."""
        if self._log and record.validation and record.test:
            self._log(record.steps, {"validation_bpb": record.validation.bpb, "test_bpb": record.test.bpb})


@contextmanager
def run_logger(trainer: Trainer, study_dir: StudyDir) -> Generator[RunLogger]:
    """The logger of one run, which continues its curves where the run resumes; of several devices the first logs."""
    logging = trainer.options.logging
    if logging is None or not trainer.devices.is_first:
        yield RunLogger(trainer, None)
        return
    check(logging)
    writer = (
        _tensorboard(trainer, study_dir) if logging.to == "tensorboard" else _wandb(trainer, study_dir, logging.project)
    )
    with writer as log:
        yield RunLogger(trainer, log)


@contextmanager
def _tensorboard(trainer: Trainer, study_dir: StudyDir) -> Generator[Log]:
    """Points that an interrupted run logged after its last checkpoint are purged."""
    tensorboard_x: Any = importlib.import_module("tensorboardX")
    axes = _axes(trainer)
    writers = {
        axis: tensorboard_x.SummaryWriter(
            str(study_dir.root / "tensorboard" / axis / f"{trainer.spec.arm}-{trainer.spec.id}"),
            purge_step=int(unit * trainer.step) + 1,
            max_queue=1000,
            flush_secs=10,
            filename_suffix=f".{trainer.step}",  # of two within a second, the second would replace the first
        )
        for axis, unit in axes.items()
    }

    def log(step: int, values: dict[str, float]) -> None:
        for axis, unit in axes.items():
            for name, value in values.items():
                writers[axis].add_scalar(name, value, int(unit * step))

    try:
        yield log
    finally:
        for writer in writers.values():
            writer.close()


@contextmanager
def _wandb(trainer: Trainer, study_dir: StudyDir, project: str | None) -> Generator[Log]:
    """Through its own client, which reads WANDB_MODE and the rest from the environment; logged steps are dropped."""
    wandb: Any = importlib.import_module("wandb")
    axes, spec = _axes(trainer), trainer.spec
    try:
        run = wandb.init(
            project=project or study_dir.root.name,
            id=spec.id,
            name=f"{spec.arm}-{spec.id}",
            group=spec.arm,
            config=spec.model_dump(mode="json"),
            dir=str(study_dir.root),
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
    except wandb.Error as error:
        first = str(error).split(". ")[0].rstrip(".")
        raise StudyError(
            f"[logging] to = 'wandb': {first}: run 'wandb login', set WANDB_MODE=offline, or leave [logging] out"
        ) from None
    run.define_metric("*", step_metric="tokens")

    def log(step: int, values: dict[str, float]) -> None:
        run.log(values | {axis: unit * step for axis, unit in axes.items()}, step=step)

    try:
        yield log
    finally:
        run.finish()


def _axes(trainer: Trainer) -> dict[str, float]:
    """Units of each x axis per step.

    TensorBoard's x values are integers below 2^63, which FLOPs may exceed; hence megaflops.
    """
    spec = trainer.spec
    return {"tokens": spec.tokens / spec.steps, "megaflops": spec.flops / spec.steps / 1e6}
