"""Claim a run by a lock on its folder, and train it unless it has a record.

Several workers, or the same command started twice, therefore never train a run twice.
The lock of a process that died is free.
Reads and writes runs/ID/, where the lock is the file `lock`.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout

from bytegap.console import say, warn
from bytegap.errors import BytegapError, StudyDirError
from bytegap.io.arrays import verify
from bytegap.schema.plan import RunSpec
from bytegap.schema.runs import RunRecord
from bytegap.study.directory import PLAN, RUNS, RunDir, StudyDir
from bytegap.train.run import Report, conditioning_tokenizer, train_run
from bytegap.train.signals import StopSignal
from bytegap.train.trainer import RunOptions

_OURS, _CLAIMED, _RECORDED = 2, 1, 0


@dataclass(frozen=True)
class ClaimResult:
    """What became of an attempt to claim a run."""

    claimed_elsewhere: bool
    """Whether another process holds the run."""
    trained: RunRecord | None = None
    """The record, if this call trained the run; None also where the run had its record already."""


def claim_and_train(
    spec: RunSpec, study_dir: StudyDir, options: RunOptions, report: Report, stop: StopSignal
) -> ClaimResult:
    """Train the run unless it has a record or another process holds it.

    Of several devices each calls this; the first claims for all.
    """
    devices = options.devices
    with _lock(study_dir.run(spec.id), enabled=devices.is_first) as locked:
        own = _CLAIMED if not locked else _RECORDED if has_record(study_dir, spec) else _OURS
        state = devices.all_reduce_max(own if devices.is_first else 0)
        if state != _OURS:
            return ClaimResult(claimed_elsewhere=state == _CLAIMED)
        devices.check(spec.batch_size)
        return ClaimResult(claimed_elsewhere=False, trained=train_run(spec, study_dir, options, report, stop))


def is_claimed(run_dir: RunDir) -> bool:
    """Whether a living process holds the run; the lock file alone does not mean that."""
    if not run_dir.lock_path.exists():
        return False
    with _lock(run_dir) as locked:
        return not locked


@contextmanager
def _lock(run_dir: RunDir, *, enabled: bool = True) -> Generator[bool]:
    """Hold the lock of a run's folder; yields whether this process has it."""
    if not enabled:
        yield False
        return
    run_dir.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir.lock_path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def has_record(study_dir: StudyDir, spec: RunSpec) -> bool:
    """Whether the run has its record; a damaged one does not count, and a warning says so."""
    try:
        return study_dir.run(spec.id).find_record() is not None
    except StudyDirError as error:
        warn("train", f"{error}: training it again")
        return False


def runs_to_train(study_dir: StudyDir, specs: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs that have neither a record nor, without a folder, a row of runs.jsonl; says how many have a row only."""
    specs = list(specs)
    kept = study_dir.rows_without_folder(specs)
    if kept:
        say(
            "train",
            f"{len(kept)} of {len(specs)} runs are taken from {study_dir.path(RUNS)}; to train one, remove its line",
        )
    return [spec for spec in specs if spec.id not in kept and not has_record(study_dir, spec)]


def check_token_files(study_dir: StudyDir, specs: Iterable[RunSpec]) -> None:
    """StudyDirError unless the token files that these runs read have the checksums of their manifests."""
    names = {name for spec in specs for name in (spec.tokenizer, conditioning_tokenizer(spec)) if name}
    for name in sorted(names):
        folder, manifest = study_dir.tokenizer_dir(name), study_dir.tokenizer(name)
        verify(folder, manifest.stream)
        verify(folder, manifest.lengths)


def check_device(study_dir: StudyDir, specs: Iterable[RunSpec]) -> None:
    """BytegapError where these runs are planned for a GPU and this machine has none."""
    import torch

    if any(spec.execution.device == "cuda" for spec in specs) and not torch.cuda.is_available():
        raise BytegapError(
            f"{study_dir.path(PLAN)} is for a GPU, and this machine has none: train on a machine with one, "
            "or delete the plan and run 'bytegap plan' here"
        )
