"""Claim a run by a lock on its folder, and train it unless it has a record.

Several workers, or the same command started twice, therefore never train a run twice.
The lock of a process that died is free.
Reads and writes runs/ID/, where the lock is the file `lock`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bytegap.console import say, warn
from bytegap.errors import BytegapError, StudyDirError
from bytegap.io.arrays import verify
from bytegap.launch.lock import hold_lock
from bytegap.schema.plan import RunSpec
from bytegap.schema.runs import RunRecord
from bytegap.study.directory import PLAN, RECORD, RUNS, TOKENIZER, WINDOWS, StudyDir
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
    with hold_lock(study_dir.run(spec.id), enabled=devices.is_first) as locked:
        own = _CLAIMED if not locked else _RECORDED if has_record(study_dir, spec) else _OURS
        state = devices.all_reduce_max(own if devices.is_first else 0)
        if state != _OURS:
            return ClaimResult(claimed_elsewhere=state == _CLAIMED)
        devices.check(spec.batch_size)
        return ClaimResult(claimed_elsewhere=False, trained=train_run(spec, study_dir, options, report, stop))


def has_record(study_dir: StudyDir, spec: RunSpec) -> bool:
    """Whether the run has its record; a damaged one does not count."""
    try:
        return study_dir.run(spec.id).find_record() is not None
    except StudyDirError:
        return False


def runs_to_train(study_dir: StudyDir, specs: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs that have neither a record nor, without a folder, a row of runs.jsonl.

    Says how many have a row only, and which records are damaged.
    """
    specs = list(specs)
    kept = study_dir.rows_without_folder(specs)
    if kept:
        say(
            "train",
            f"{len(kept)} of {len(specs)} runs are taken from {study_dir.path(RUNS)}; to train one, remove its line",
        )
    left = [spec for spec in specs if spec.id not in kept and not has_record(study_dir, spec)]
    for spec in left:
        if study_dir.run(spec.id).has_record:
            warn("train", f"{study_dir.path(RECORD, spec.id)} is damaged: the run is trained again")
    return left


def check_token_files(study_dir: StudyDir, specs: Iterable[RunSpec]) -> None:
    """StudyDirError unless all that these runs read of tokens/ has the checksums of its manifests."""
    names = {name for spec in specs for name in (spec.tokenizer, conditioning_tokenizer(spec)) if name}
    for name in sorted(names):
        for folder, array in study_dir.arrays(TOKENIZER, study_dir.tokenizer(name), name):
            verify(folder, array)
    for folder, array in study_dir.arrays(WINDOWS, study_dir.windows()) if names else ():
        verify(folder, array)


def check_device(study_dir: StudyDir, specs: Iterable[RunSpec]) -> None:
    """BytegapError where these runs are planned for a GPU and this machine has none."""
    import torch

    if any(spec.execution.device == "cuda" for spec in specs) and not torch.cuda.is_available():
        raise BytegapError(
            f"{study_dir.path(PLAN)} is for a GPU, and this machine has none: train on a machine with one, "
            "or delete the plan and run 'bytegap plan' here"
        )
