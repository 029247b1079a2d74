"""Score other likelihoods of the best masked run of each arm and budget, in processes on this machine.

Reads plan.json, runs/ID/ and tokens/; writes runs/ID/likelihoods.json.
"""

import multiprocessing
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bytegap.console import Verbosity, say, set_verbosity, track, verbosity, warn
from bytegap.errors import ModelError, StudyDirError
from bytegap.objectives.base import objective
from bytegap.schema.plan import Plan, RunSpec
from bytegap.study.directory import LIKELIHOODS, StudyDir
from bytegap.train.likelihoods import score_likelihoods


def run(study_dir: StudyDir, workers: int | None = None) -> None:
    """Score the runs that have no likelihoods.json yet; says which cannot be, and why, and goes on."""
    plan = study_dir.plan()
    waiting = [spec for spec in best_masked_runs(study_dir, plan) if not study_dir.path(LIKELIHOODS, spec.id).exists()]
    if not waiting:
        return
    start_s = time.monotonic()
    waiting.sort(key=lambda spec: -spec.flops)
    with _results(study_dir, waiting, min(workers or plan.workers, len(waiting))) as results:
        failures = [error for error in track(results, "scoring other likelihoods", len(waiting)) if error]
    for error in failures:
        warn("train", f"other likelihoods are not scored: {error}")
    done = len(waiting) - len(failures)
    if done:
        say("train", f"other likelihoods of {done} masked runs scored in {time.monotonic() - start_s:.0f} s")


def best_masked_runs(study_dir: StudyDir, plan: Plan) -> list[RunSpec]:
    """Of each arm and budget all of whose runs have ended: the run with the lowest validation BPB, if it is masked."""
    cells: dict[tuple[str, float], list[RunSpec]] = {}
    for spec in plan.runs:
        if objective(spec.objective, spec.objective_options).can_unmask:
            cells.setdefault((spec.arm, spec.budget_flops), []).append(spec)
    best: list[RunSpec] = []
    for specs in cells.values():
        scored = study_dir.runs_with_validation_bpb(specs)
        if scored and not study_dir.unfinished(specs):
            best.append(min(scored, key=lambda pair: pair[1])[0])
    return best


@contextmanager
def _results(study_dir: StudyDir, specs: Sequence[RunSpec], workers: int) -> Generator[Iterator[str]]:
    """For each run, as it is done: what is wrong, or nothing."""
    score = partial(_score, study_dir, verbosity())
    runs = [spec.id for spec in specs]
    if workers == 1:
        yield map(score, runs)
        return
    with multiprocessing.get_context("spawn").Pool(workers, _ignore_interrupts) as pool:
        yield pool.imap_unordered(score, runs)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _score(study_dir: StudyDir, level: Verbosity, run: str) -> str:
    """Score one run and write its record; returns what is wrong, in one sentence, or nothing."""
    set_verbosity(level)
    run_dir = study_dir.run(run)
    try:
        run_dir.write(LIKELIHOODS, score_likelihoods(run_dir))
    except (StudyDirError, ModelError) as error:
        return str(error)
    return ""
