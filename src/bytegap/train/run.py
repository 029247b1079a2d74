"""One run from spec to record: resume, train, checkpoint, score, count, write.

Reads tokens/ and runs/ID/checkpoint.*; writes runs/ID/{spec,record,timings}.json and weights.safetensors.
"""

import math
import platform
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from bytegap import plugins
from bytegap.errors import ModelError
from bytegap.likelihood import score_windows
from bytegap.numerics import is_out_of_memory
from bytegap.objectives._base import told
from bytegap.records import (
    RunRecord,
    RunSpec,
    Score,
    Timings,
    TokensManifest,
    WindowsManifest,
)
from bytegap.shards import read_array
from bytegap.store import Folder, file_digest, read_record, write_record
from bytegap.study import Track
from bytegap.train import checkpoint
from bytegap.train.count import analytic_supervised_flops, step_flops
from bytegap.train.devices import Devices
from bytegap.train.loop import ONE, Divergence, Training
from bytegap.train.stopping import Stopping
from bytegap.train.track import Curves, curves
from bytegap.windows import Windows, begins

_CHECKPOINT = "checkpoint.safetensors"
_LEAVE = 2
_CHECKPOINT_EVERY_S, _LEAST_CHECKPOINT_S = 60.0, 5.0
_CHECKPOINT_SHARE = 50
"""Times what writing one takes, at least, lie between two checkpoints: under 2 % of training."""
_REPORT_EVERY_S = 0.5

Report = Callable[[str, int, float, float], None]
"""Told now and then: run id, steps done, latest loss (nats a symbol), symbols a second."""


def train_run(  # noqa: PLR0913, PLR0917 - a run, and all that is about it
    spec: RunSpec,
    folder: Folder,
    report: Report,
    stopping: Stopping | None = None,
    devices: Devices = ONE,
    track: Track | None = None,
) -> RunRecord:
    """Bring one run to its record; SystemExit, a checkpoint written, where `stopping` is asked to.

    Of many devices all call this, and the first writes.
    """
    torch.set_num_threads(spec.numerics.threads)
    if devices.is_first:
        write_record(folder.run(spec.id) / "spec.json", spec)
    manifest = read_record(folder.tokens_of(spec.tokens) / "manifest.json", TokensManifest, "tokens")
    stream = read_array(folder.tokens_of(spec.tokens), manifest.stream)
    try:
        training = Training(spec, stream, devices, _starts(spec, folder))
        return _followed(training, folder, report, stopping or Stopping(), track)
    except (MemoryError, RuntimeError) as error:
        if devices.world > 1 or not is_out_of_memory(error):  # the others wait for one that is out: all must end
            raise
        record = RunRecord(run=spec.id, status="failed", reason="out of memory")
        write_record(folder.run(spec.id) / "record.json", record)
        return record


def told_of(spec: RunSpec) -> str | None:
    """The symbol set that the objective is told of, if it is of any."""
    return told(plugins.load("objectives", spec.objective), spec.objective_options)


def _starts(spec: RunSpec, folder: Folder) -> np.ndarray | None:
    """Where symbols of another set begin among the training bytes, if the objective is to be told."""
    name = told_of(spec)
    if name is None:
        return None
    place = folder.tokens_of(name)
    manifest = read_record(place / "manifest.json", TokensManifest, "tokens")
    return begins(read_array(place, manifest.stream).astype(np.int64), read_array(place, manifest.lengths))


def _followed(training: Training, folder: Folder, report: Report, stopping: Stopping, track: Track | None) -> RunRecord:
    checkpoint.resume(folder.run(training.spec.id) / _CHECKPOINT, training)
    with curves(track, training, folder) as followed:
        record = _trained(training, folder, report, stopping, followed)
        followed.end(record)
    return record


def _trained(training: Training, folder: Folder, report: Report, stopping: Stopping, followed: Curves) -> RunRecord:
    spec, home, first = training.spec, folder.run(training.spec.id), training.devices.is_first
    saved = home / _CHECKPOINT
    started, first_step = datetime.now(UTC), training.step
    clock = time.perf_counter()
    try:
        checkpoint_s = _train(training, saved, report, stopping, followed)
    except Divergence as error:
        return _failed(training, home, str(error))
    train_s = time.perf_counter() - clock

    clock = time.perf_counter()
    try:
        scores = _scores(training, folder)
    except ModelError as error:
        return _failed(training, home, f"its scores are not finite: {error}")
    evaluate_s = time.perf_counter() - clock
    checkpoint.write_weights(home / "weights.safetensors", training)
    record = _record(
        training,
        validation=scores["validation"],
        test=scores["test"],
        weights_sha256=file_digest(home / "weights.safetensors") if first else "",
    )
    if not first:
        return record
    done = (spec.steps - first_step) / spec.steps
    write_record(
        home / "timings.json",
        Timings(
            run=spec.id,
            train_s=train_s,
            checkpoint_s=checkpoint_s,
            evaluate_s=evaluate_s,
            symbols_per_s=done * spec.symbols / train_s,
            flops_per_s=done * spec.flops / train_s,
            started=started.isoformat(timespec="seconds"),
            host=platform.node(),
        ),
    )
    write_record(home / "record.json", record)  # last: a run with a record is finished
    checkpoint.clear(saved)
    return record


def _failed(training: Training, home: Path, reason: str) -> RunRecord:
    """The record of a run without scores; of many devices the first writes it."""
    record = _record(training, status="failed", reason=reason)
    if training.devices.is_first:
        write_record(home / "record.json", record)
    return record


def _train(training: Training, path: Path, report: Report, stopping: Stopping, followed: Curves) -> float:
    """To the last step; the seconds in which checkpoints were written."""
    spec = training.spec
    saved = reported = time.monotonic()
    reported_step, write_s, written_s = training.step, 0.0, 0.0
    with stopping.after_a_step():
        for step in training.steps():
            followed.take()
            now = time.monotonic()
            if now - reported > _REPORT_EVERY_S or step == spec.steps:
                speed = (step - reported_step) * spec.symbols / spec.steps / max(now - reported, 1e-9)
                report(spec.id, step, training.ledger.losses[-1], speed)
                reported, reported_step = now, step
            # The last step's is for a kill during evaluation, which is long; none is worth it after a few seconds.
            due = _LEAST_CHECKPOINT_S if step == spec.steps else max(_CHECKPOINT_EVERY_S, _CHECKPOINT_SHARE * write_s)
            # All devices leave if one is asked to, and write when the first one's clock says so.
            wish = _LEAVE if stopping.asked else int(training.devices.is_first and now - saved > due)
            wish = training.devices.agreed(wish)
            if wish:
                checkpoint.write(path, training)
                saved = time.monotonic()
                write_s = saved - now
                written_s += write_s
            if wish == _LEAVE:
                raise SystemExit(128 + signal.SIGTERM)
    return written_s


def _scores(training: Training, folder: Folder) -> dict[str, Score]:
    """Both held-out splits, on the windows common to all arms; in float32, whatever the plan trains in."""
    manifest = read_record(folder.windows_manifest, WindowsManifest, "tokens")
    spec, device = training.spec, training.spec.numerics.device
    scores = {}
    for name, split in manifest.splits.items():
        own = split.tokens[spec.tokens]
        windows = Windows(
            symbols=read_array(folder.tokens / "windows", own.symbols),
            counts=read_array(folder.tokens / "windows", own.counts),
            bytes=split.bytes,
            sha256=split.sha256,
        )
        scores[name] = score_windows(
            lambda inputs_BP, positions_M, sight: training.model.lm_head(
                training.model.features(inputs_BP.to(device), positions_M.to(device), sight.to(device))
            ).cpu(),
            training.objective,
            training.options,
            windows,
            training.vocabulary,
            passes=spec.evaluation_passes,
            seed=spec.seed,
            permute=lambda symbols, keys: training.order.permute(symbols, keys, training.order_options),
        )
    return scores


def _record(training: Training, **outcome: object) -> RunRecord:
    spec, ledger = training.spec, training.ledger
    counted = step_flops(training, head_everywhere=True)
    return RunRecord.model_validate(
        {
            "run": spec.id,
            "status": "finished",
            "steps": training.step,
            "supervised_symbols": ledger.supervised,
            "counted_step_flops": counted,
            "counted_supervised_step_flops": step_flops(training, head_everywhere=False),
            "analytic_supervised_step_flops": analytic_supervised_flops(training),
            "spent_flops": counted * training.step,
            "gradient_norm": ledger.spread(),
            "clipped_steps": ledger.clipped,
            "update_rms": {group: rms for group, rms in ledger.update_rms.items() if math.isfinite(rms)},
            "loss_curve": ledger.curve(),
            "compile_error": _compile_error(training),
        }
        | outcome
    )


def _compile_error(training: Training) -> str:
    """Why the run fell back to eager code, here or on another device; all devices must ask."""
    own = training.ledger.compile_error
    return own or "on another device" * training.devices.agreed(bool(own))
