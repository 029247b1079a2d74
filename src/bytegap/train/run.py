"""Train one run from its spec to its record: resume, train, checkpoint, score, count FLOPs, write.

Reads tokens/ and runs/ID/checkpoint.*; writes runs/ID/{spec,record,timings}.json, checkpoint.* and weights.safetensors.
"""

import math
import platform
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import torch
from numpy.typing import NDArray

from bytegap.data.tokenizers.base import load_prepared
from bytegap.data.windows import read_windows, token_starts
from bytegap.errors import ModelError
from bytegap.io.arrays import map_array, read_array
from bytegap.io.atomic import file_sha256
from bytegap.lm.execution import is_out_of_memory
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import score_windows
from bytegap.objectives.base import objective
from bytegap.schema.data import ScoringSplit
from bytegap.schema.plan import RunSpec
from bytegap.schema.runs import RunRecord, Score, Timings
from bytegap.study.directory import RECORD, SPEC, TIMINGS, RunDir, StudyDir
from bytegap.train import checkpoint
from bytegap.train.flop_audit import analytic_supervised_flops, step_flops
from bytegap.train.loggers import RunLogger, run_logger
from bytegap.train.signals import StopSignal
from bytegap.train.trainer import DEFAULT_OPTIONS, DivergenceError, RunOptions, Trainer

_CHECKPOINT_EVERY_S, _MIN_CHECKPOINT_S = 60.0, 5.0
_CHECKPOINT_SHARE = 50
"""Minimum time between two checkpoints over the time that one takes to write: under 2 % of training."""
_REPORT_EVERY_S = 0.5
_CONTINUE, _SAVE, _SAVE_AND_STOP = 0, 1, 2


@dataclass(frozen=True)
class StepReport:
    """How far a run is."""

    run: str
    step: int
    """Steps done."""
    first_step: int
    """Steps that were done when this process took up the run."""
    loss_nats: float
    """Of the last step, per token."""
    tokens_per_s: float


Report = Callable[[StepReport], None]
"""Called about twice a second while a run trains, and after its last step."""


def ignore(_: StepReport) -> None:
    """A `Report` that does nothing."""


def train_run(
    spec: RunSpec,
    study_dir: StudyDir,
    options: RunOptions = DEFAULT_OPTIONS,
    report: Report = ignore,
    stop: StopSignal | None = None,
) -> RunRecord:
    """Train one run and write its record; SystemExit, after writing a checkpoint, where `stop` is requested.

    Of several devices each calls this, and the first writes.
    """
    torch.set_num_threads(spec.execution.threads)
    if options.devices.is_first:
        study_dir.run(spec.id).write(SPEC, spec)
    stream = map_array(study_dir.tokenizer_dir(spec.tokenizer), study_dir.tokenizer(spec.tokenizer).stream)
    try:
        trainer = Trainer(spec, stream, options, conditioning_starts(spec, study_dir))
        return _with_loggers(trainer, study_dir, report, stop or StopSignal())
    except (MemoryError, RuntimeError) as error:
        if options.devices.world > 1 or not is_out_of_memory(error):  # the other devices would wait: all must end
            raise
        record = RunRecord(run=spec.id, status="failed", reason="out of memory")
        study_dir.run(spec.id).write(RECORD, record)
        return record


def conditioning_tokenizer(spec: RunSpec) -> str | None:
    """The tokenizer whose token starts the run's objective needs, if any."""
    return objective(spec.objective, spec.objective_options).conditioning_tokenizer


def conditioning_starts(spec: RunSpec, study_dir: StudyDir) -> NDArray[np.bool_] | None:
    """Where tokens of the objective's conditioning tokenizer begin among the training bytes; None if it has none."""
    name = conditioning_tokenizer(spec)
    if name is None:
        return None
    folder, manifest = study_dir.tokenizer_dir(name), study_dir.tokenizer(name)
    return token_starts(map_array(folder, manifest.stream).astype(np.int64), read_array(folder, manifest.lengths))


def _with_loggers(trainer: Trainer, study_dir: StudyDir, report: Report, stop: StopSignal) -> RunRecord:
    """Resume the run where it has a checkpoint, train and score it, and log its curves."""
    checkpoint.resume(study_dir.run(trainer.spec.id), trainer)
    with run_logger(trainer, study_dir) as logger:
        record = _train_and_score(trainer, study_dir, _RunLoop(trainer, report, stop, logger))
        logger.log_scores(record)
    return record


def _train_and_score(trainer: Trainer, study_dir: StudyDir, loop: "_RunLoop") -> RunRecord:
    spec, run_dir, is_first = trainer.spec, study_dir.run(trainer.spec.id), trainer.devices.is_first
    started, first_step = datetime.now(UTC), trainer.step
    clock = time.perf_counter()
    try:
        checkpoint_s = loop.run(run_dir)
    except DivergenceError as error:
        return _write_failure(trainer, run_dir, str(error))
    train_s = time.perf_counter() - clock

    clock = time.perf_counter()
    try:
        scores = _scores(trainer, study_dir)
    except ModelError as error:
        return _write_failure(trainer, run_dir, f"its scores are not finite: {error}")
    evaluate_s = time.perf_counter() - clock
    checkpoint.write_weights(run_dir, trainer)
    weights_sha256 = file_sha256(run_dir.weights_path) if is_first else ""
    record = _record(trainer, weights_sha256=weights_sha256, **scores)
    if not is_first:
        return record
    done = (spec.steps - first_step) / spec.steps
    run_dir.write(
        TIMINGS,
        Timings(
            run=spec.id,
            train_s=train_s,
            checkpoint_s=checkpoint_s,
            evaluate_s=evaluate_s,
            tokens_per_s=done * spec.tokens / train_s,
            flops_per_s=done * spec.flops / train_s,
            started=started.isoformat(timespec="seconds"),
            host=platform.node(),
        ),
    )
    run_dir.write(RECORD, record)  # last: a run with a record is finished
    checkpoint.clear(run_dir)
    return record


def _write_failure(trainer: Trainer, run_dir: RunDir, reason: str) -> RunRecord:
    """The record of a run without scores; of several devices the first writes it."""
    record = _record(trainer, status="failed", reason=reason)
    if trainer.devices.is_first:
        run_dir.write(RECORD, record)
    return record


class _RunLoop:
    """The steps of a run, with reports, log points and checkpoints between them."""

    def __init__(self, trainer: Trainer, report: Report, stop: StopSignal, logger: RunLogger) -> None:
        self.trainer, self.report, self.stop, self.logger = trainer, report, stop, logger
        self.first_step = self.reported_step = trainer.step
        self.saved_s = self.reported_s = time.monotonic()
        self.last_write_s = self.total_write_s = 0.0

    def run(self, run_dir: RunDir) -> float:
        """Train to the last step, writing checkpoints; returns the seconds that writing them took."""
        devices = self.trainer.devices
        with self.stop.deferred():
            for step in self.trainer.steps():
                self.logger.log_step()
                now = time.monotonic()
                self._report(step, now)
                # All devices stop if one must, and write a checkpoint when the first one's clock says so.
                own = (
                    _SAVE_AND_STOP
                    if self.stop.requested
                    else _SAVE
                    if self._is_checkpoint_due(step, now)
                    else _CONTINUE
                )
                action = devices.all_reduce_max(own)
                if action != _CONTINUE:
                    checkpoint.write(run_dir, self.trainer)
                    self.saved_s = time.monotonic()
                    self.last_write_s = self.saved_s - now
                    self.total_write_s += self.last_write_s
                if action == _SAVE_AND_STOP:
                    raise SystemExit(128 + signal.SIGTERM)
        return self.total_write_s

    def _is_checkpoint_due(self, step: int, now: float) -> bool:
        """On the first device, whether enough time has passed since the last checkpoint.

        The last step's serves a kill during evaluation, which is long; no checkpoint pays after a few seconds.
        """
        if not self.trainer.devices.is_first:
            return False
        is_last = step == self.trainer.spec.steps
        interval_s = _MIN_CHECKPOINT_S if is_last else max(_CHECKPOINT_EVERY_S, _CHECKPOINT_SHARE * self.last_write_s)
        return now - self.saved_s > interval_s

    def _report(self, step: int, now: float) -> None:
        spec = self.trainer.spec
        if now - self.reported_s <= _REPORT_EVERY_S and step != spec.steps:
            return
        tokens_per_s = (step - self.reported_step) * spec.tokens / spec.steps / max(now - self.reported_s, 1e-9)
        self.report(StepReport(spec.id, step, self.first_step, self.trainer.metrics.losses[-1], tokens_per_s))
        self.reported_s, self.reported_step = now, step


def _scores(trainer: Trainer, study_dir: StudyDir) -> Mapping[str, object]:
    """The scores of a record, on windows common to all arms; in float32, whatever dtype the plan trains in.

    Validation windows and those with other edges get a quarter of the passes: they are most of the windows, and only
    choose the best run and compare edges.
    """
    model, windows = _language_model(trainer, study_dir), study_dir.windows()
    fewer = replace(model, mc_passes=max(2, model.mc_passes // 4))

    def score(model: LanguageModel, split: ScoringSplit) -> Score:
        return score_windows(model, read_windows(study_dir.windows_dir, split, trainer.spec.tokenizer))

    by_edge = {edge: score(fewer, splits["test"]) for edge, splits in windows.other_edges.items()}
    scores = {name: score(model if name == "test" else fewer, split) for name, split in windows.splits.items()}
    return scores | {"test_by_edge": by_edge}


def _language_model(trainer: Trainer, study_dir: StudyDir) -> LanguageModel:
    spec = trainer.spec
    return LanguageModel(
        name=f"{spec.arm} {spec.id}",
        network=trainer.network,
        objective=trainer.objective,
        vocabulary=trainer.vocabulary,
        tokenizer=load_prepared(study_dir.tokenizer(spec.tokenizer), study_dir.tokenizer_dir(spec.tokenizer)),
        seq_len=spec.seq_len,
        permutation=trainer.permutation,
        mc_passes=spec.mc_passes,
        seed=spec.seed,
    )


def _record(trainer: Trainer, **outcome: object) -> RunRecord:
    """The record of a run; all devices must call this."""
    metrics = trainer.metrics
    counted = step_flops(trainer, head_everywhere=True)
    return RunRecord.model_validate(
        {
            "run": trainer.spec.id,
            "status": "finished",
            "steps": trainer.step,
            "supervised_tokens": metrics.supervised,
            "counted_step_flops": counted,
            "counted_supervised_step_flops": step_flops(trainer, head_everywhere=False),
            "analytic_supervised_step_flops": analytic_supervised_flops(trainer),
            "spent_flops": counted * trainer.step,
            "gradient_norm": metrics.grad_norm_spread(),
            "clipped_steps": metrics.clipped,
            "update_rms": {group: rms for group, rms in metrics.update_rms.items() if math.isfinite(rms)},
            "loss_curve": metrics.loss_curve(),
            "compile_error": _compile_error(trainer),
        }
        | outcome
    )


def _compile_error(trainer: Trainer) -> str:
    """Why the run fell back to eager code, here or on another device; all devices must call this."""
    own = trainer.metrics.compile_error
    return own or "on another device" * trainer.devices.all_reduce_max(bool(own))
