"""What is missing from a study folder although something that is there was made from it."""

from collections.abc import Iterator
from itertools import chain

from bytegap.errors import StudyDirError
from bytegap.schema.base import Record
from bytegap.study.config import Study
from bytegap.study.directory import (
    AUDIT,
    CORPUS,
    FIT,
    PILOT,
    PLAN,
    RECORD,
    RUNS,
    SPEC,
    TOKENIZER,
    TUNING,
    WINDOWS,
    ArtifactFile,
    StudyDir,
)

Findings = Iterator[str]
"""Sentences: what is wrong, where, and what to do."""

_MADE_FROM: tuple[tuple[ArtifactFile[Record], ArtifactFile[Record]], ...] = (
    (WINDOWS, TOKENIZER),
    (TOKENIZER, CORPUS),
    (PILOT, WINDOWS),
    (PLAN, WINDOWS),
    (SPEC, PLAN),
    (RECORD, PLAN),
    (FIT, RUNS),
)
"""(file, a file that it was made from)."""


def files(study: Study, study_dir: StudyDir) -> Findings:
    """Files that others were made from. What a run's folder lacks is reported with the run."""
    pilot = study_dir.find_readable(PILOT)
    in_pilot = {spec.id for spec in pilot.specs} if pilot else set[str]()
    for made, source in _MADE_FROM:
        if not (existing := [name for name in study_dir.names(made) if name not in in_pilot]):
            continue
        names = study.tokenizers if source is TOKENIZER else ("",)
        for name in names:
            path = study_dir.path(source, name)
            if not path.exists():
                by = study_dir.path(made, existing[0])
                yield f"{path} is missing, from which {by} was made: run 'bytegap {source.verb}' again"


def rows(_: Study, study_dir: StudyDir) -> Findings:
    """Rows that runs.jsonl and tuning.jsonl lack of runs that ended."""
    plan, audit = study_dir.find_readable(PLAN), study_dir.find_readable(AUDIT)
    try:
        if not study_dir.path(RUNS).exists():
            return
        tables = {RUNS: study_dir.runs(), TUNING: study_dir.tuning_runs()}
    except StudyDirError:
        return  # reported with all other records
    if not tables[RUNS]:
        yield f"{study_dir.path(RUNS)} is empty: run 'bytegap {RUNS.verb}' again"
        return
    planned = {
        RUNS: [spec.id for spec in plan.runs] if plan else [],
        TUNING: [run.spec.id for run in plan.tuning] if plan else [],
    }
    for table, specs in planned.items():
        known = {row.run for row in tables[table]}
        lost = [run for run in specs if run not in known and study_dir.run(run).has_record]
        if lost:
            yield (
                f"{study_dir.path(table)} has no row of {len(lost)} of {len(specs)} planned runs that ended, "
                f"such as {lost[0]}: run 'bytegap {table.verb}' again"
            )
    known = {row.run for row in chain.from_iterable(tables.values())}
    audited = {row.run for row in audit.runs} if audit else set[str]()
    if plan:
        audited &= set(planned[RUNS])
    if lost := sorted(run for run in audited - known if not study_dir.run(run).has_record):
        yield (
            f"{study_dir.path(RUNS)} has no row of {len(lost)} of {len(audited)} runs that {study_dir.path(AUDIT)} "
            f"has, such as {lost[0]}: restore the file, or run 'bytegap train' and 'bytegap {RUNS.verb}' again"
        )
