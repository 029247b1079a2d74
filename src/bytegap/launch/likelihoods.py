"""Score the best run of each arm and budget once more when a study's runs end, in processes on this machine.

A masked run gets other likelihoods; a run of the arm's largest budget gets ln Z(n), the mass of all token sequences of
n bytes, if its objective has one and its text is not permuted.
Reads plan.json, runs/ID/ and tokens/; writes runs/ID/likelihoods.json.
"""

import multiprocessing
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from bytegap.console import Verbosity, say, set_verbosity, track, verbosity, warn
from bytegap.data.permutations.base import permutation
from bytegap.errors import ModelError, StudyDirError, counted
from bytegap.lm.length_mass import has_length_mass
from bytegap.lm.unmasking_rules import rules_of
from bytegap.objectives.base import objective
from bytegap.schema.plan import Plan, RunSpec
from bytegap.study.directory import LIKELIHOODS, StudyDir
from bytegap.train.likelihoods import score_likelihoods


@dataclass(frozen=True)
class BestRun:
    """The run of lowest validation BPB of an arm and budget."""

    spec: RunSpec
    is_masked: bool
    """Whether it has other likelihoods."""
    with_length_mass: bool
    """Whether ln Z(n) is scored."""

    def is_scored(self, study_dir: StudyDir) -> bool:
        """Whether its likelihoods.json has everything; one without ln Z(n) is of a version that did not score it."""
        found = study_dir.find_readable(LIKELIHOODS, self.spec.id)
        return found is not None and not (self.with_length_mass and found.length_mass is None)


def run(study_dir: StudyDir, workers: int | None = None) -> None:
    """Score the runs that are not scored yet; says which cannot be, and why, and goes on."""
    plan = study_dir.plan()
    waiting = [best for best in best_runs(study_dir, plan) if not best.is_scored(study_dir)]
    if not waiting:
        return
    start_s = time.monotonic()
    waiting.sort(key=lambda best: -best.spec.flops)
    masked = sum(best.is_masked for best in waiting)  # the others take no longer than a process takes to start
    with_mass = any(best.with_length_mass for best in waiting)
    what = " and ".join(["other likelihoods"] * bool(masked) + ["ln Z"] * with_mass)
    with _results(study_dir, waiting, max(1, min(workers or plan.workers, masked))) as results:
        failures = [error for error in track(results, f"scoring {what}", len(waiting)) if error]
    for error in failures:
        warn("train", f"{what} of a run cannot be scored: {error}")
    done = len(waiting) - len(failures)
    if done:
        say("train", f"{what} of {counted(done, 'run')} scored in {time.monotonic() - start_s:.0f} s")


def best_runs(study_dir: StudyDir, plan: Plan) -> list[BestRun]:
    """Of each arm and budget all of whose runs have ended: the best run, if something is scored of it.

    A run that is in runs.jsonl and has no folder may be the best, and cannot be scored: then none is.
    """
    cells: dict[tuple[str, float], list[RunSpec]] = {}
    for spec in plan.runs:
        cells.setdefault((spec.arm, spec.budget_flops), []).append(spec)
    largest = {arm: max(budget for other, budget in cells if other == arm) for arm, _ in cells}
    found: list[BestRun] = []
    for (arm, budget), specs in cells.items():
        own = objective(specs[0].objective, specs[0].objective_options)
        is_permuted = not permutation(specs[0].permutation, specs[0].permutation_options).is_identity
        with_length_mass = budget == largest[arm] and has_length_mass(own) and not is_permuted
        has_others = bool(rules_of(own))
        if not (has_others or with_length_mass):
            continue
        bpb = study_dir.validation_bpb(specs)
        if not bpb or study_dir.unfinished(specs):
            continue
        best = min((spec for spec in specs if spec.id in bpb), key=lambda spec: bpb[spec.id])
        if study_dir.run(best.id).has_record:
            found.append(BestRun(best, has_others, with_length_mass))
    return found


@contextmanager
def _results(study_dir: StudyDir, runs: Sequence[BestRun], workers: int) -> Generator[Iterator[str]]:
    """For each run, as it is done: what is wrong, or nothing."""
    score = partial(_score, study_dir, verbosity())
    if workers == 1:
        yield map(score, runs)
        return
    with multiprocessing.get_context("spawn").Pool(workers, _ignore_interrupts) as pool:
        yield pool.imap_unordered(score, runs)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _score(study_dir: StudyDir, level: Verbosity, best: BestRun) -> str:
    """Score one run and write its record; returns what is wrong, in one sentence, or nothing."""
    set_verbosity(level)
    run_dir = study_dir.run(best.spec.id)
    earlier = study_dir.find_readable(LIKELIHOODS, best.spec.id)
    try:
        scored = score_likelihoods(run_dir, earlier, with_length_mass=best.with_length_mass)
    except (StudyDirError, ModelError) as error:
        return str(error)
    run_dir.write(LIKELIHOODS, scored)
    return ""
