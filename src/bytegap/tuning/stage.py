"""Adds the runs of the tuning audit to the plan. Reads plan.json and the records of runs; writes plan.json."""

from bytegap.console import say
from bytegap.plan.stage import arm_contexts
from bytegap.study.config import Study
from bytegap.study.directory import PLAN, StudyDir
from bytegap.tuning.design import missing_runs


def extend_audit(study: Study, study_dir: StudyDir) -> int:
    """Add the runs that the tuning audit lacks; the number of runs added. StudyDirError before there is a plan."""
    plan = study_dir.plan()
    bpb = study_dir.validation_bpb(plan.specs)
    added = [
        run
        for name, context in arm_contexts(study, study_dir, plan.runs[0].execution).items()
        for run in missing_runs(
            context,
            [run for run in plan.runs if run.arm == name],
            [run for run in plan.tuning if run.spec.arm == name],
            bpb,
        )
    ]
    if added:
        study_dir.write(PLAN, plan.model_copy(update={"tuning": (*plan.tuning, *added)}))
        say("plan", f"tuning audit: {len(added)} runs added, {sum(run.spec.flops for run in added):.3g} FLOPs")
    return len(added)
