"""The rows of tuning.jsonl: the runs of the tuning audit, each with its setting. No torch."""

from collections.abc import Mapping, Sequence

from bytegap.console import say
from bytegap.errors import StudyDirError
from bytegap.schema.plan import Plan
from bytegap.schema.runs import RunRow, TuningRunRow
from bytegap.study.directory import TUNING, StudyDir


def tuning_rows(study_dir: StudyDir, plan: Plan, rows: Mapping[str, RunRow]) -> list[TuningRunRow]:
    """The rows of the audit's runs that ended, after those that tuning.jsonl already has of the same study.

    `rows` has the row of every run that ended, by id. An earlier row, whose run's folder may be gone, is kept as long
    as the plan has a run of its cell that was audited. StudyDirError where tuning.jsonl is damaged.
    """
    earlier = _read(study_dir)
    planned = {spec.id for spec in plan.specs}
    current = {_cell(row) for row in earlier if row.run in planned}
    kept = {row.run: row for row in earlier if _cell(row) in current}
    if dropped := len(earlier) - len(kept):
        say("collect", f"{dropped} rows of an earlier plan's tuning audit are left out of {study_dir.path(TUNING)}")
    ended = {run.spec.id: run for run in plan.tuning if run.spec.id in rows}
    made = {
        name: TuningRunRow.model_validate(
            rows[name].model_dump()
            | {
                "log2_learning_rate": run.rate,
                "log2_batch_size": run.batch,
                "weight_decay_factor": run.weight_decay,
                "weight_decay": run.spec.optimizer.weight_decay,
            }
        )
        for name, run in ended.items()
    }
    return list((kept | made).values())


def _read(study_dir: StudyDir) -> Sequence[TuningRunRow]:
    try:
        return study_dir.tuning_runs()
    except StudyDirError as error:
        damaged = str(error).removesuffix(f": run 'bytegap {TUNING.verb}' again")
        raise StudyDirError(f"{damaged}: restore the file, or delete it to keep only the runs in runs/") from None


def _cell(row: TuningRunRow) -> tuple[str, float, int]:
    return row.arm, row.budget_flops, row.non_embedding_parameters
