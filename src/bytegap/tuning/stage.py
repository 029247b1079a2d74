"""Adds the runs of the tuning audit to the plan. Reads plan.json and the records of runs; writes plan.json."""

from collections.abc import Mapping

from bytegap.console import say
from bytegap.errors import StudyDirError
from bytegap.plan.contexts import arm_contexts
from bytegap.schema.plan import Plan
from bytegap.study.config import Study
from bytegap.study.directory import PLAN, StudyDir
from bytegap.tuning.cells import NamedCells, ends_by_arm
from bytegap.tuning.design import best_size, missing_runs

DEFAULT_CELLS = NamedCells()


def extend_audit(study: Study, study_dir: StudyDir, named: NamedCells = DEFAULT_CELLS) -> int:
    """Add the runs that the tuning audit lacks at these cells; the number of runs to be trained.

    While runs of an interrupted audit are unfinished, nothing is added: which settings come next depends on them.

    CommandError where the plan has no such cell; StudyDirError before there is a plan, or where no run of a cell
    finished. Nothing is written then.
    """
    plan = study_dir.plan()
    audited = ends_by_arm(plan, named)
    first_repeat = plan.model_copy(update={"runs": tuple(run for run in plan.runs if not run.repeat)})
    bpb = study_dir.validation_bpb(plan.specs)
    _check_finished(first_repeat, audited, bpb)
    if waiting := study_dir.unfinished([run.spec for run in plan.tuning]):
        return len(waiting)
    contexts = arm_contexts(study, study_dir, plan.runs[0].execution)
    if removed := [arm for arm in audited if arm not in contexts]:
        raise StudyDirError(
            f"{study_dir.path(PLAN)} has the arm {removed[0]}, which the study file no longer has: run 'bytegap plan'"
        )
    added = [
        run
        for name, context in contexts.items()
        for run in missing_runs(
            context,
            [run for run in first_repeat.runs if run.arm == name],
            [run for run in plan.tuning if run.spec.arm == name],
            bpb,
            audited.get(name, ()),
        )
    ]
    if added:
        study_dir.write(PLAN, plan.model_copy(update={"tuning": (*plan.tuning, *added)}))
        say("plan", f"tuning audit: {len(added)} runs added, {sum(run.spec.flops for run in added):.3g} FLOPs")
    return len(added)


def _check_finished(plan: Plan, audited: Mapping[str, tuple[float, ...]], bpb: Mapping[str, float]) -> None:
    """StudyDirError unless every audited cell has a finished run, and so a best size."""
    for arm, budgets in audited.items():
        for budget in budgets:
            if not best_size([run for run in plan.runs if (run.arm, run.budget_flops) == (arm, budget)], bpb):
                raise StudyDirError(
                    f"no run of {arm} at {budget:g} FLOPs has finished, so its best size is not known: run 'bytegap "
                    "train' first, or choose another cell with --at and --arm"
                )
