"""Make the plan, print it, extend it. Reads the manifests in tokens/ and the records of runs; writes plan.json."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from bytegap.autotune.backends import (
    ExecutionPlan,
    all_executions,
    default_execution,
    default_workers,
    describe,
)
from bytegap.autotune.memory import check_memory, memory_bytes, peak_bytes
from bytegap.autotune.search import autotune
from bytegap.autotune.step_timer import seconds_per_step, step_signature
from bytegap.console import say, show, track, warn
from bytegap.cost.disk import training_disk_bytes
from bytegap.errors import PlanError, StudyDirError
from bytegap.plan import hours
from bytegap.plan.contexts import arm_contexts, inputs_sha256
from bytegap.plan.extend import missing_sizes
from bytegap.plan.grid import isoflop_cell
from bytegap.plan.placement import Comparison
from bytegap.schema.plan import Plan, RunSpec
from bytegap.study.config import Study
from bytegap.study.directory import PILOT, PLAN, RUNS, StudyDir


def make_plan(study: Study, study_dir: StudyDir) -> Plan:
    """Write plan.json, unless the one there was made from the same study and tokens; the plan."""
    plan, is_current = _load_or_resolve(study, study_dir)
    if is_current:
        say("plan", f"up to date: {len(plan.runs)} runs")
        return plan
    if study.plan.hours is None:
        plan = with_execution(plan, study, study_dir)
    else:
        check_memory(plan.runs, plan.workers)
    study_dir.write(PLAN, plan)
    say("plan", f"{len(plan.runs)} runs, {sum(run.flops for run in plan.runs):.3g} FLOPs")
    return plan


def resolve_plan(study: Study, study_dir: StudyDir) -> Plan:
    """The current plan; without one, what it would be, with the default execution. Writes nothing."""
    return _load_or_resolve(study, study_dir)[0]


def _load_or_resolve(study: Study, study_dir: StudyDir) -> tuple[Plan, bool]:
    """The plan, and whether it is what plan.json holds."""
    contexts = arm_contexts(study, study_dir, default_execution(study.compute))
    inputs = inputs_sha256(study, contexts)
    if plan := study_dir.load_if_current(PLAN, inputs):
        return plan, True
    if study.plan.hours is not None:
        return _placed(study, study_dir), False
    runs = tuple(
        run
        for context in contexts.values()
        for repeat in context.repeats()
        for budget in context.arm.budgets
        for run in isoflop_cell(repeat, budget)
    )
    workers = default_workers(study.compute, runs[0].execution)
    return Plan(inputs_sha256=inputs, study=study.name, workers=workers, rounds=0, runs=runs), False


def _placed(study: Study, study_dir: StudyDir) -> Plan:
    """The plan that follows from the study's finished pilot; StudyDirError where it has none."""
    pilot = hours.current_pilot(study, study_dir)
    if pilot is None or not pilot.finished:
        raise StudyDirError(f"{study_dir.path(PILOT)} is missing or unfinished: run 'bytegap plan' with this study")
    runs = tuple(hours.placed_runs(study, study_dir, pilot))
    if not runs:
        raise PlanError(f"[plan] hours = {pilot.hours:g}: no arm gets four sizes at any budget: raise the hours")
    contexts = list(arm_contexts(study, study_dir, pilot.execution).values())
    _check_arms(list(study.arms), runs, hours.compared_arms(contexts), pilot.hours)
    return Plan(inputs_sha256=pilot.inputs_sha256, study=study.name, workers=pilot.workers, rounds=0, runs=runs)


def _check_arms(names: Sequence[str], runs: Iterable[RunSpec], comparisons: Sequence[Comparison], total: float) -> None:
    """Warn of every arm without runs; PlanError where arms are compared and no compared pair has runs of both."""
    with_runs = {run.arm for run in runs}
    pairs = [[names[arm] for arm in each] for each in comparisons if len(each) == 2]
    if pairs and not any(with_runs.issuperset(pair) for pair in pairs):
        raise PlanError(
            f"[plan] hours = {total:g} are too few: only {', '.join(sorted(with_runs))} would get budgets, and no two "
            "arms that the fit compares: raise the hours ('bytegap plan --dry-run' says how many would do)"
        )
    for name in names:
        if name not in with_runs:
            warn("plan", f"arm {name} gets no budget: {total:g} hours are too few; raise the hours")


def with_execution(plan: Plan, study: Study, study_dir: StudyDir) -> Plan:
    """The plan with the execution and the number of workers that finish it soonest on this machine.

    Those of an earlier plan in the folder are kept where they still apply, and without a plan that of the rows of
    runs.jsonl, so that runs which the study's edit did not change keep their ids and their results.
    PlanError, before a step is timed, where the largest model does not fit this machine.
    """
    check_memory(plan.runs, plan.workers)
    chosen = (
        _earlier_execution(study, study_dir)
        or _execution_of_rows(plan.runs, study, study_dir)
        or autotune(plan.runs, study.compute)
    )
    runs = tuple(run.model_copy(update={"execution": chosen.execution}) for run in plan.runs)
    return plan.model_copy(update={"runs": runs, "workers": chosen.workers})


def warn_if_stale(study: Study, study_dir: StudyDir) -> None:
    """Say so where plan.json was made from another study file, or from other tokens."""
    if is_stale(study, study_dir, study_dir.plan()):
        warn(
            "plan",
            f"{study_dir.path(PLAN)} is used as it is; the study was edited since: run 'bytegap plan' to apply it",
        )


def is_stale(study: Study, study_dir: StudyDir, plan: Plan) -> bool:
    """Whether a plan was made from another study file, or from other tokens."""
    return inputs_sha256(study, arm_contexts(study, study_dir, plan.runs[0].execution)) != plan.inputs_sha256


def extend_plan(study: Study, study_dir: StudyDir) -> int:
    """Add the sizes that cells of finished runs lack to bracket their minima; the number of runs added."""
    plan = study_dir.plan()
    if plan.rounds >= study.grid.extensions:
        return 0
    known = {run.id for run in plan.runs}
    bpb = study_dir.validation_bpb(plan.runs)
    added = [
        run
        for name, context in arm_contexts(study, study_dir, plan.runs[0].execution).items()
        for repeat in context.repeats()
        for run in missing_sizes(
            repeat,
            [
                (run, bpb[run.id])
                for run in plan.runs
                if (run.arm, run.repeat) == (name, repeat.repeat) and run.id in bpb
            ],
        )
        if run.id not in known
    ]
    if added:
        runs = (*plan.runs, *added)
        study_dir.write(PLAN, plan.model_copy(update={"rounds": plan.rounds + 1, "runs": runs}))
        say("plan", f"round {plan.rounds + 1}: {len(added)} runs added where the best size was at the edge of its grid")
    return len(added)


def dry_run(plan: Plan, study_dir: StudyDir) -> None:
    """Print the runs of a plan, what they cost, and how long they take on this machine; writes nothing."""
    examples = {step_signature(run): run for run in plan.runs}
    step_s = {
        signature: seconds_per_step(run) for signature, run in track(examples.items(), "timing a step of each size")
    }
    seconds = {run.id: run.steps * step_s[step_signature(run)] for run in plan.runs}
    show(_table(plan, seconds))
    disk = training_disk_bytes([run.parameters for run in plan.runs], plan.workers)
    say(
        "plan",
        f"{sum(run.flops for run in plan.runs):.3g} FLOPs, about {sum(seconds.values()) / plan.workers / 60:.1f} "
        f"minutes of training with {plan.workers} workers; {disk / 1e6:.0f} MB of disk in {study_dir.root}",
    )
    cells: dict[tuple[str, float], list[RunSpec]] = {}
    for run in plan.runs:
        cells.setdefault((run.arm, run.budget_flops), []).append(run)
    largest = [max(cell, key=lambda run: run.non_embedding_parameters) for cell in cells.values()]
    peak = max(peak_bytes(run) for run in track(largest, "estimating memory"))
    say("plan", f"about {peak / 1e9:.2f} GB of memory for each worker, {plan.workers * peak / 1e9:.2f} GB in all")
    on_cpu = plan.runs[0].execution.device == "cpu"
    if on_cpu and plan.workers * peak > (own := memory_bytes("cpu")):
        warn(
            "plan",
            f"this machine has {own / 1e9:.2f} GB of memory: {int(own // peak)} workers fit; lower [compute] workers",
        )
    if any(run.epochs > 1 for run in plan.runs):
        say("plan", "runs marked ! see their text more than once")


def _table(plan: Plan, seconds: dict[str, float]) -> Table:
    """One row a run; `seconds` of training by run id."""
    table = Table(title=f"{plan.study}: {len(plan.runs)} runs", title_justify="left")
    headings = ("arm", "budget", "N", "d_model x layers", "steps x tokens", "D", "bytes", "epochs", "FLOPs", "est.")
    repeated = any(run.repeat for run in plan.runs)
    for heading in (*headings[:1], *["repeat"] * repeated, *headings[1:]):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for run in plan.runs:
        table.add_row(
            run.arm,
            *[str(run.repeat)] * repeated,
            f"{run.budget_flops:.2g}",
            f"{run.non_embedding_parameters:,}",
            f"{run.model_shape['d_model']} x {run.model_shape['n_layers']}",
            f"{run.steps} x {run.batch_size * run.seq_len}",
            f"{run.tokens / 1e6:.2f}M",
            f"{run.bytes / 1e6:.2f}M",
            f"{run.epochs:.2f}" + (" !" if run.epochs > 1 else ""),
            f"{run.flops:.3g}",
            f"{seconds[run.id]:.0f} s",
        )
    return table


def _earlier_execution(study: Study, study_dir: StudyDir) -> ExecutionPlan | None:
    """Execution and workers of plan.json, current or stale; None where the study or the machine now differs."""
    try:
        plan = study_dir.plan()
    except StudyDirError:
        return None
    execution = plan.runs[0].execution
    threads = study.compute.threads or execution.threads
    if (execution.device, execution.threads) != (default_execution(study.compute).device, threads):
        return None
    workers_were_measured = execution.device == "cuda" and not study.compute.workers
    return ExecutionPlan(
        execution, plan.workers if workers_were_measured else default_workers(study.compute, execution)
    )


def _execution_of_rows(runs: Sequence[RunSpec], study: Study, study_dir: StudyDir) -> ExecutionPlan | None:
    """The execution under which these runs include rows of runs.jsonl; None where there is none.

    A row does not tell how its run was executed, but its id does: it is a hash that contains the execution.
    """
    try:
        rows = {row.run for row in study_dir.runs()}
    except StudyDirError:
        return None
    for execution in all_executions(study.compute) if rows else ():
        kept = sum(run.model_copy(update={"execution": execution}).id in rows for run in runs)
        if kept:
            say(
                "plan",
                f"{describe(execution)}, as the {kept} of these runs that {study_dir.path(RUNS)} has; to train all "
                "again, in the way that is fastest here, move that file away",
            )
            return ExecutionPlan(execution, default_workers(study.compute, execution))
    return None
