"""Check a study folder: damaged, inconsistent, missing or left-over files, and disk space. Writes nothing.

What an interrupted command leaves is not reported where the same command continues from it. Everything else is
reported with what to do about it.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bytegap.check import recount
from bytegap.console import say, track
from bytegap.cost.disk import training_disk_bytes
from bytegap.errors import StudyDirError
from bytegap.io.arrays import verify
from bytegap.io.atomic import file_sha256
from bytegap.io.tensors import read_tensors
from bytegap.launch.claim import is_claimed
from bytegap.schema.base import ArrayFile, Record
from bytegap.schema.data import ScoringSplit
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import ARTIFACTS, CORPUS, PLAN, RUNS, TOKENIZER, WINDOWS, Artifact, RunDir, StudyDir

R = TypeVar("R", bound=Record)
Findings = Iterator[str]
"""Sentences: what is wrong, where, and what to do."""


def run(study_dir: StudyDir) -> None:
    """Log everything that is wrong; StudyDirError if anything is, or if there is no such folder."""
    if not study_dir.root.is_dir():
        raise StudyDirError(f"{study_dir.root} does not exist: run 'bytegap run' with this study first")
    checks = (_damaged_records, _damaged_arrays, _recounts, _runs, _leftovers, _disk)
    every = [finding for check in track(checks, "checking the study folder") for finding in check(study_dir)]
    found = list(dict.fromkeys(every))  # one file may be missed by several checks
    for finding in found:
        say("check", finding)
    if found:
        raise StudyDirError(f"{study_dir.root}: {len(found)} problem{'s' if len(found) > 1 else ''} found")
    say("check", f"no problem found in {study_dir.root}")


def _damaged_records(study_dir: StudyDir) -> Findings:
    """Files of records that cannot be read."""
    for artifact in ARTIFACTS:
        for name in study_dir.names(artifact):
            yield from _error(artifact.read, study_dir.path(artifact, name))


def _damaged_arrays(study_dir: StudyDir) -> Findings:
    """Arrays that are not what their manifests say, of the manifests that can be read."""
    for folder, array in _arrays(study_dir):
        yield from _error(verify, folder, array)


def _arrays(study_dir: StudyDir) -> Iterator[tuple[Path, ArrayFile]]:
    """Every array that a manifest describes, with its folder."""
    if corpus := _readable(study_dir, CORPUS):
        for split in corpus.splits.values():
            yield study_dir.corpus_dir, split.text
            yield study_dir.corpus_dir, split.ends
    for name in study_dir.names(TOKENIZER):
        if manifest := _readable(study_dir, TOKENIZER, name):
            yield study_dir.tokenizer_dir(name), manifest.stream
            yield study_dir.tokenizer_dir(name), manifest.lengths
    if windows := _readable(study_dir, WINDOWS):
        for splits in (windows.splits, *windows.other_edges.values()):
            for split in splits.values():
                yield from ((study_dir.windows_dir, array) for array in _window_arrays(split))


def _window_arrays(split: ScoringSplit) -> Iterator[ArrayFile]:
    yield from (array for array in (split.starts, split.ends, split.documents) if array)
    for scored in split.tokenizers.values():
        yield scored.tokens
        yield scored.counts


def _recounts(study_dir: StudyDir) -> Findings:
    """Numbers that do not follow from the arrays and records that they were made from."""
    if (manifest := _readable(study_dir, WINDOWS)) is None:
        return
    if _readable(study_dir, CORPUS):
        yield from recount.windows(study_dir, manifest)
    plan = _readable(study_dir, PLAN)
    for spec in plan.specs if plan else []:
        try:
            record = study_dir.run(spec.id).find_record()
        except StudyDirError:
            continue  # reported with all other records
        if record:
            yield from recount.scores(spec, record, manifest)


def _runs(study_dir: StudyDir) -> Findings:
    """Runs of the plan whose spec, weights or checkpoints do not match, and runs that failed."""
    plan = _readable(study_dir, PLAN)
    specs = plan.specs if plan else []
    for spec in specs:
        run_dir = study_dir.run(spec.id)
        if run_dir.has_record:
            yield from _ended_run(run_dir, spec)
        elif is_claimed(run_dir):
            say("check", f"run {spec.id} is being trained now")
        else:
            for path in (run_dir.checkpoint_path, run_dir.previous_checkpoint_path):
                if path.exists():
                    for error in _error(read_tensors, path):
                        yield f"{error}: delete it; training continues without it"
    if unfinished := study_dir.unfinished(specs):
        say("check", f"{len(unfinished)} of {len(specs)} runs are not trained yet: 'bytegap train' continues")


def _ended_run(run_dir: RunDir, spec: RunSpec) -> Findings:
    """What is wrong with a run that ended, if its records can be read."""
    again = f"delete {run_dir.path} and its line of {RUNS.pattern}, and run 'bytegap train' again"
    try:
        record, trained = run_dir.record(), run_dir.spec()
    except StudyDirError:
        return  # reported with all other records
    if trained.content_sha256 != spec.content_sha256 or record.run != spec.id:
        yield f"{run_dir.path} holds another run than {spec.id} of the plan: {again}"
    elif record.status == "failed":
        yield f"run {spec.id} ({spec.arm}) failed: {record.reason}: {again}, or ignore this: the fit leaves it out"
    elif not run_dir.weights_path.exists():
        yield f"{run_dir.weights_path} is missing; only the fit and the report can do without it: {again}"
    elif file_sha256(run_dir.weights_path) != record.weights_sha256:
        yield f"{run_dir.weights_path} does not match the checksum in its record: {again}"


def _leftovers(study_dir: StudyDir) -> Findings:
    """Temporary files of killed processes, and runs that the plan does not have; nothing while a run is trained."""
    run_dirs = sorted(study_dir.runs_dir.glob("[!.]*"))
    if any(is_claimed(RunDir(path)) for path in run_dirs if path.is_dir()):
        return
    for path in sorted(path for path in study_dir.root.rglob(".*") if not path.parent.name.startswith(".")):
        yield f"{path} is a temporary file of a process that was killed: delete it"
    plan = _readable(study_dir, PLAN)
    known = {spec.id for spec in plan.specs} if plan else set[str]()
    for path in run_dirs:
        if known and path.name not in known:
            yield f"{path} is not a run of the plan, but of an earlier one: delete it if you do not need it"


def _disk(study_dir: StudyDir) -> Findings:
    """Whether the runs that are not trained yet fit on the disk."""
    if plan := _readable(study_dir, PLAN):
        parameters = [spec.parameters for spec in study_dir.unfinished(plan.specs)]
        needed, free = training_disk_bytes(parameters, plan.workers), shutil.disk_usage(study_dir.root).free
        if needed > free:
            yield f"training needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free on the disk: free some"


def _readable(study_dir: StudyDir, artifact: Artifact[R], name: str = "") -> R | None:
    """The record in a file; None where it is missing, or damaged, which `_damaged_records` reports."""
    try:
        return study_dir.find(artifact, name)
    except StudyDirError:
        return None


def _error(read: Callable[..., object], *arguments: object) -> Findings:
    """The message of the StudyDirError that `read` raises, if it does."""
    try:
        read(*arguments)
    except StudyDirError as error:
        yield str(error)
