"""Check a study folder: damaged, inconsistent, missing, stale or left-over files, and disk space. Writes nothing.

What an interrupted command leaves is not reported where the same command continues from it. Everything else is
reported with what to do about it. Without torch, what needs it is left out, and a line says so.
"""

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bytegap.check import missing, recount, stale
from bytegap.console import say, track
from bytegap.cost.disk import training_disk_bytes
from bytegap.errors import StudyDirError, file_error
from bytegap.extras import EXTRAS, is_installed
from bytegap.io.arrays import verify
from bytegap.io.atomic import file_sha256
from bytegap.schema.plan import RunSpec
from bytegap.study.config import Study
from bytegap.study.directory import ARTIFACTS, CORPUS, PILOT, PLAN, RUNS, TOKENIZER, WINDOWS, Artifact, RunDir, StudyDir

if TYPE_CHECKING:
    from bytegap.schema.base import Record

Findings = Iterator[str]
"""Sentences: what is wrong, where, and what to do."""


def run(study: Study, study_dir: StudyDir) -> None:
    """Log everything that is wrong; StudyDirError if anything is, or if there is no such folder."""
    if not study_dir.root.is_dir():
        raise StudyDirError(f"{study_dir.root} does not exist: run 'bytegap run' with this study first")
    checks: list[Callable[[Study, StudyDir], Findings]] = [
        _damaged_records,
        missing.files,
        missing.rows,
        stale.files,
        _damaged_arrays,
        _recounts,
        _runs,
        _unplanned,
        _disk,
    ]
    if all(map(is_installed, EXTRAS["train"])):
        checks += [_checkpoints, stale.plan, _temporary_files]
    else:
        say(
            "check",
            "left out: checkpoints, temporary files, and whether the plan is current; they need "
            "pip install 'bytegap[train]'",
        )
    every = [finding for check in track(checks, "checking the study folder") for finding in check(study, study_dir)]
    found = list(dict.fromkeys(every))  # one file may be missed by several checks
    for finding in found:
        say("check", finding)
    if found:
        raise StudyDirError(f"{study_dir.root}: {len(found)} problem{'s' if len(found) > 1 else ''} found")
    say("check", f"no problem found in {study_dir.root}")


def _damaged_records(_: Study, study_dir: StudyDir) -> Findings:
    """Files of records that cannot be read."""
    for artifact in ARTIFACTS:
        for name in study_dir.names(artifact):
            yield from _error(artifact.read, study_dir.path(artifact, name))


def _damaged_arrays(_: Study, study_dir: StudyDir) -> Findings:
    """Arrays that are not what their manifests say, of the manifests that can be read."""
    artifacts: tuple[Artifact[Record], ...] = (CORPUS, TOKENIZER, WINDOWS)
    for artifact in artifacts:
        for name in study_dir.names(artifact):
            if manifest := study_dir.find_readable(artifact, name):
                for folder, array in study_dir.arrays(artifact, manifest, name):
                    yield from _error(verify, folder, array)


def _recounts(_: Study, study_dir: StudyDir) -> Findings:
    """Numbers that do not follow from the arrays and records that they were made from."""
    if (manifest := study_dir.find_readable(WINDOWS)) is None:
        return
    if study_dir.find_readable(CORPUS):
        yield from recount.windows(study_dir, manifest)
    plan = study_dir.find_readable(PLAN)
    for spec in plan.specs if plan else []:
        try:
            record = study_dir.run(spec.id).find_record()
        except StudyDirError:
            continue  # reported with all other records
        if record:
            yield from recount.scores(spec, record, manifest)


def _runs(_: Study, study_dir: StudyDir) -> Findings:
    """Runs of the plan whose spec or weights do not match, and runs that failed."""
    plan = study_dir.find_readable(PLAN)
    specs = plan.specs if plan else []
    for spec in specs:
        if study_dir.run(spec.id).has_record:
            yield from _ended_run(study_dir.run(spec.id), spec)
    if unfinished := study_dir.unfinished(specs):
        say("check", f"{len(unfinished)} of {len(specs)} runs are not trained yet: 'bytegap train' continues")


def _ended_run(run_dir: RunDir, spec: RunSpec) -> Findings:
    """What is wrong with a run that ended, if its records can be read."""
    again = f"delete {run_dir.path} and its line of {RUNS.pattern}, and run 'bytegap train' again"
    try:
        record = run_dir.record()
    except StudyDirError:
        return  # reported with all other records
    try:
        trained = run_dir.spec()
    except StudyDirError as error:
        yield str(error)
        return
    if trained.content_sha256 != spec.content_sha256 or record.run != spec.id:
        yield f"{run_dir.path} holds another run than {spec.id} of the plan: {again}"
    elif record.status == "failed":
        yield f"run {spec.id} ({spec.arm}) failed: {record.reason}: {again}, or ignore this: the fit leaves it out"
    elif not run_dir.weights_path.is_file():
        yield f"{run_dir.weights_path} is missing; only the fit and the report can do without it: {again}"
    elif file_sha256(run_dir.weights_path) != record.weights_sha256:
        yield f"{run_dir.weights_path} does not match the checksum in its record: {again}"


def _checkpoints(_: Study, study_dir: StudyDir) -> Findings:
    """Checkpoints that cannot be read, of runs of the plan that nothing is training."""
    from bytegap.io.tensors import read_tensors
    from bytegap.launch.lock import is_claimed

    plan = study_dir.find_readable(PLAN)
    for spec in plan.specs if plan else []:
        run_dir = study_dir.run(spec.id)
        if run_dir.has_record:
            continue
        if is_claimed(run_dir):
            say("check", f"run {spec.id} is being trained now")
            continue
        for path in (run_dir.checkpoint_path, run_dir.previous_checkpoint_path):
            if path.exists():
                for error in _error(read_tensors, path):
                    yield f"{error}: delete it; training continues without it"


def _temporary_files(_: Study, study_dir: StudyDir) -> Findings:
    """Temporary files of killed processes; nothing while a run is trained."""
    from bytegap.launch.lock import is_claimed

    if any(is_claimed(RunDir(path)) for path in study_dir.runs_dir.glob("[!.]*") if path.is_dir()):
        return
    for path in sorted(path for path in study_dir.root.rglob(".*") if not path.parent.name.startswith(".")):
        yield f"{path} is a temporary file of a process that was killed: delete it"


def _unplanned(_: Study, study_dir: StudyDir) -> Findings:
    """What is in the folder of runs and is not a run of the plan or of its pilot."""
    if (plan := study_dir.find_readable(PLAN)) is None:
        return
    pilot = study_dir.find_readable(PILOT)
    known = {spec.id for spec in [*plan.specs, *(pilot.specs if pilot else [])]}
    for path in sorted(study_dir.runs_dir.glob("[!.]*")):
        if path.name not in known:
            what = "a run of the plan, but of an earlier one" if RunDir(path).was_started else "a run's folder"
            yield f"{path} is not {what}: delete it if you do not need it"


def _disk(_: Study, study_dir: StudyDir) -> Findings:
    """Whether the runs that are not trained yet fit on the disk."""
    if plan := study_dir.find_readable(PLAN):
        parameters = [spec.parameters for spec in study_dir.unfinished(plan.specs)]
        needed, free = training_disk_bytes(parameters, plan.workers), shutil.disk_usage(study_dir.root).free
        if needed > free:
            yield f"training needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free on the disk: free some"


def _error(read: Callable[..., object], *arguments: object) -> Findings:
    """The message of the error that `read` raises, if it is one that the user can correct."""
    try:
        read(*arguments)
    except StudyDirError as error:
        yield str(error)
    except OSError as error:
        refused = file_error(error)
        if refused is None:
            raise
        yield str(refused)
