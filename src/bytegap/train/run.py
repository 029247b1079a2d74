"""One run from spec to record: resume, train, checkpoint, score, count, write.

Reads tokens/ and runs/ID/checkpoint.safetensors; writes runs/ID/{spec,record,timings}.json and weights.safetensors.
"""

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

from bytegap.likelihood import score_windows
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
from bytegap.train import checkpoint
from bytegap.train.count import analytic_supervised_flops, step_flops
from bytegap.train.loop import Divergence, Training
from bytegap.windows import Windows

_CHECKPOINT_EVERY_S = 60.0
_REPORT_EVERY_S = 0.5

Report = Callable[[str, int, float, float], None]
"""Told now and then: run id, steps done, latest loss (nats a symbol), symbols a second."""


def train_run(spec: RunSpec, folder: Folder, report: Report) -> RunRecord:
    """Bring one run to its record."""
    torch.set_num_threads(spec.numerics.threads)
    home = folder.run(spec.id)
    write_record(home / "spec.json", spec)
    manifest = read_record(folder.tokens_of(spec.tokens) / "manifest.json", TokensManifest, "tokens")
    training = Training(spec, read_array(folder.tokens_of(spec.tokens), manifest.stream))
    checkpoint.resume(home / "checkpoint.safetensors", training)

    started, first_step = datetime.now(UTC), training.step
    clock = time.perf_counter()
    try:
        _train(training, home / "checkpoint.safetensors", report)
    except Divergence as error:
        record = _record(training, status="failed", reason=str(error))
        write_record(home / "record.json", record)
        return record
    train_s = time.perf_counter() - clock

    clock = time.perf_counter()
    scores = _scores(training, folder)
    evaluate_s = time.perf_counter() - clock
    checkpoint.write_weights(home / "weights.safetensors", training)
    record = _record(
        training,
        validation=scores["validation"],
        test=scores["test"],
        weights_sha256=file_digest(home / "weights.safetensors"),
    )
    done = (spec.steps - first_step) / spec.steps
    write_record(
        home / "timings.json",
        Timings(
            run=spec.id,
            train_s=train_s,
            evaluate_s=evaluate_s,
            symbols_per_s=done * spec.symbols / train_s,
            flops_per_s=done * spec.flops / train_s,
            started=started.isoformat(timespec="seconds"),
            host=platform.node(),
        ),
    )
    write_record(home / "record.json", record)  # last: a run with a record is finished
    (home / "checkpoint.safetensors").unlink(missing_ok=True)
    return record


def _train(training: Training, path: Path, report: Report) -> None:
    spec = training.spec
    saved = reported = time.monotonic()
    reported_step = training.step
    for step in training.steps():
        now = time.monotonic()
        if now - reported > _REPORT_EVERY_S or step == spec.steps:
            speed = (step - reported_step) * spec.symbols / spec.steps / max(now - reported, 1e-9)
            report(spec.id, step, training.ledger.losses[-1], speed)
            reported, reported_step = now, step
        if now - saved > _CHECKPOINT_EVERY_S and step < spec.steps:
            checkpoint.write(path, training)
            saved = now


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
            lambda inputs_BP, positions_M, sight: training.model(
                inputs_BP.to(device), positions_M.to(device), sight.to(device)
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
            "update_rms": ledger.update_rms,
            "loss_curve": ledger.curve(),
        }
        | outcome
    )
