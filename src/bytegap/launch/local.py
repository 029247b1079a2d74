"""Train every run of the plan that has no record yet, in worker processes on this machine.

Reads plan.json and tokens/; writes runs/ID/.
"""

import multiprocessing
import queue
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bytegap.console import Verbosity, say, set_verbosity, verbosity, warn
from bytegap.errors import BytegapError, file_error
from bytegap.launch.claim import check_device, check_token_files, claim_and_train, has_record, runs_to_train
from bytegap.launch.display import Progress, shown
from bytegap.lm.execution import bind_worker_to_gpu
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import StudyDir
from bytegap.train import loggers
from bytegap.train.run import StepReport
from bytegap.train.signals import StopSignal
from bytegap.train.trainer import DEFAULT_OPTIONS, RunOptions

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from multiprocessing.queues import Queue

_EXIT_PATIENCE_S, _RETRY_S = 5.0, 1.0


@dataclass(frozen=True)
class _RunEnded:
    """A run has its record."""

    run: str


@dataclass(frozen=True)
class _WorkerError:
    """A worker met an error that every other run would meet too."""

    message: str


_Event = tuple[int, StepReport | _RunEnded | _WorkerError]
"""(worker, what happened)."""


def run(study_dir: StudyDir, workers: int | None = None, options: RunOptions = DEFAULT_OPTIONS) -> None:
    """Train every planned run that has no record; says which failed and why."""
    plan = study_dir.plan()
    train(study_dir, plan.specs, workers or plan.workers, options)


def train(study_dir: StudyDir, specs: Sequence[RunSpec], workers: int, options: RunOptions = DEFAULT_OPTIONS) -> None:
    """Train those of these runs that have neither a record nor a row; says which failed and why."""
    waiting = runs_to_train(study_dir, specs)
    if not waiting:
        say("train", f"up to date: all {len(specs)} runs have their records")
        return
    check_device(study_dir, waiting)
    loggers.check(options.logging)
    check_token_files(study_dir, waiting)
    waiting.sort(key=lambda spec: -spec.flops)  # longest first, so that no core idles at the end
    progress = Progress(waiting, len(specs))
    work = _Work(study_dir.root, waiting, options, verbosity())
    _train_in_workers(work, min(workers, len(waiting)), progress)
    failed = [record for _, record in study_dir.records(specs) if record.status == "failed"]
    for record in failed:
        folder = study_dir.run(record.run).path
        warn("train", f"run {record.run} failed: {record.reason} (delete {folder} to train it again)")
    say("train", f"{len(specs) - len(failed)} of {len(specs)} runs finished in {progress.elapsed}")


@dataclass(frozen=True)
class _Work:
    """What the workers share; sent to each process."""

    root: Path
    """The study's folder."""
    specs: list[RunSpec]
    """The runs to train, in this order."""
    options: RunOptions
    verbosity: Verbosity


def _train_in_workers(work: _Work, workers: int, progress: Progress) -> None:
    """Start the workers and follow them to their end; BytegapError if a run is left without a record."""
    context = multiprocessing.get_context("spawn")
    events: Queue[_Event] = context.Queue()
    processes = [context.Process(target=_work, args=(number, work, events), daemon=True) for number in range(workers)]
    for process in processes:
        process.start()
    message = ""
    try:
        with shown(progress) as refresh:
            while any(process.is_alive() for process in processes) or not events.empty():
                refresh()
                with suppress(queue.Empty):
                    worker, event = events.get(timeout=0.5)
                    if isinstance(event, StepReport):
                        progress.step(worker, event)
                    elif isinstance(event, _RunEnded):
                        progress.end(worker, event.run)
                    else:
                        message = event.message
    finally:
        _stop(processes)
    if message:
        raise BytegapError(message)
    study_dir = StudyDir(work.root)
    left = sum(not has_record(study_dir, spec) for spec in work.specs)
    if left:  # a worker that outlives another trains what that one had claimed: all have died
        codes = ", ".join(str(process.exitcode) for process in processes if process.exitcode)
        raise BytegapError(
            f"training workers ended with exit code {codes}, {left} runs are left: run 'bytegap train' again"
        )


def _stop(processes: "list[SpawnProcess]") -> None:
    """End workers that are still training: they write their checkpoints first; killed if that takes too long."""
    for process in processes:
        if process.is_alive():
            process.terminate()
    for process in processes:
        process.join(_EXIT_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _work(number: int, work: _Work, events: "Queue[_Event]") -> None:
    """A worker process: trains runs that nobody has claimed; ends when all have records or its parent is gone.

    Runs that another worker has claimed are tried again: if that worker dies, they continue here.
    """
    study_dir, parent, stop = StudyDir(work.root), multiprocessing.parent_process(), StopSignal()
    stop.listen()
    set_verbosity(work.verbosity)
    bind_worker_to_gpu(number)

    def report(step: StepReport) -> None:
        if parent and not parent.is_alive():
            stop.requested = True
        events.put((number, step))

    def is_done(spec: RunSpec) -> bool:
        result = claim_and_train(spec, study_dir, work.options, report, stop)
        if not result.claimed_elsewhere:
            events.put((number, _RunEnded(spec.id)))
        return not result.claimed_elsewhere

    left = work.specs
    try:
        while left := [spec for spec in left if not is_done(spec)]:
            if parent and not parent.is_alive():
                return
            time.sleep(_RETRY_S)
    except (BytegapError, OSError) as error:  # of the study's folder or the disk: other runs would meet it too
        shown = file_error(error) if isinstance(error, OSError) else error
        if shown is None:
            raise
        events.put((number, _WorkerError(str(shown))))
