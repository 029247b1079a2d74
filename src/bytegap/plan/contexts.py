"""What every run of an arm is resolved from: the study, the manifests in tokens/, and the execution."""

from collections.abc import Mapping
from dataclasses import replace

from bytegap.plan.grid import ArmContext, check
from bytegap.schema.base import FrozenDict, digest
from bytegap.schema.plan import Execution, Plan
from bytegap.study.config import Study
from bytegap.study.directory import PLAN, StudyDir


def arm_contexts(study: Study, study_dir: StudyDir, execution: Execution) -> dict[str, ArmContext]:
    """The context of each arm, by name, each checked; StudyDirError before `bytegap tokenize`."""
    study = with_planned_budgets(study, study_dir)
    windows = study_dir.windows()
    manifests = {name: study_dir.tokenizer(name) for name in study.tokenizers}
    contexts: dict[str, ArmContext] = {}
    for name, arm in study.arms.items():
        context = ArmContext(study, name, arm, manifests[arm.tokenizer], windows, execution)
        if conditioning := context.objective.conditioning_tokenizer:
            context = replace(context, conditioning_tokenizer=manifests.get(conditioning))
        check(context)
        contexts[name] = context
    return contexts


def with_planned_budgets(study: Study, study_dir: StudyDir) -> Study:
    """The study with the budgets that its plan has, where it names hours and has a plan; else the study as it is."""
    plan = study_dir.find(PLAN) if study.plan.hours else None
    return with_budgets(study, {name: _budgets(plan, name) for name in study.arms}) if plan else study


def _budgets(plan: Plan, arm: str) -> tuple[float, ...]:
    return tuple(sorted({run.budget_flops for run in plan.runs if run.arm == arm}))


def with_budgets(study: Study, budgets: Mapping[str, tuple[float, ...]]) -> Study:
    """The study with these budgets of its arms."""
    arms = {name: arm.model_copy(update={"budgets": budgets[name]}) for name, arm in study.arms.items()}
    return study.model_copy(update={"arms": FrozenDict(arms)})


def inputs_sha256(study: Study, contexts: dict[str, ArmContext]) -> str:
    """Checksum of what a plan is made from: the study without its corpus, and the contents of tokens and windows."""
    parts = study.model_dump(
        mode="json", include={"seed": True, "arms": True, "grid": True, "compute": {"workers", "threads"}}
    )
    if study.plan.hours:
        parts["hours"] = study.plan.hours
    contents = {
        name: [*_token_checksums(context), context.windows.content_sha256] for name, context in contexts.items()
    }
    return digest([parts, contents])


def _token_checksums(context: ArmContext) -> list[str]:
    conditioning = context.conditioning_tokenizer
    return [context.tokenizer.content_sha256, *([conditioning.content_sha256] if conditioning else [])]
