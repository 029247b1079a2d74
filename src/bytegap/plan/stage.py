"""Lay the plan, show it, extend it. Reads the manifests of tokens; writes plan.json."""

from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from bytegap import plugins
from bytegap.console import say, show, track
from bytegap.errors import StoreError
from bytegap.objectives._base import told
from bytegap.plan import estimate, measure, tuning
from bytegap.plan.extend import missing
from bytegap.plan.grid import Setting, cell, check
from bytegap.records import (
    Numerics,
    Plan,
    RunRecord,
    RunSpec,
    TokensManifest,
    WindowsManifest,
    digest,
)
from bytegap.store import Folder, read_record, standing, write_record
from bytegap.study import Study


def resolve(study: Study, folder: Folder) -> Plan:
    """The plan that stands, or what it would be, its numerics not yet measured; writes nothing."""
    return _resolved(study, folder)[0]


def _resolved(study: Study, folder: Folder) -> tuple[Plan, bool]:
    """The plan, and whether it stands."""
    settings = _settings(study, folder, measure.plain(study.compute))
    inputs = _inputs(study, settings)
    if plan := standing(folder.plan, Plan, inputs):
        return plan, True
    runs = [spec for setting in settings.values() for budget in setting.arm.budgets for spec in cell(setting, budget)]
    workers = measure.workers(study.compute, runs[0].numerics)
    return Plan(inputs=inputs, study=study.name, workers=workers, rounds=0, runs=runs), False


def measured(plan: Plan, study: Study, folder: Folder) -> Plan:
    """The same runs, computed as is soonest here; as the folder's plan does, if it has one: its runs may be kept."""
    numerics, workers = _way_before(study, folder) or measure.choose(plan.runs, study.compute)
    runs = [spec.model_copy(update={"numerics": numerics}) for spec in plan.runs]
    return plan.model_copy(update={"runs": runs, "workers": workers})


def run(study: Study, folder: Folder) -> Plan:
    """The frozen plan, made anew only where an input changed."""
    plan, stands = _resolved(study, folder)
    if stands:
        say("plan", f"up to date: {len(plan.runs)} runs")
        return plan
    plan = measured(plan, study, folder)
    write_record(folder.plan, plan)
    say("plan", f"{len(plan.runs)} runs, {sum(run.flops for run in plan.runs):.3g} FLOPs")
    return plan


def tell_if_edited(study: Study, folder: Folder) -> None:
    """Say so where the plan that stands was made of another study, or of other symbols."""
    plan = read_record(folder.plan, Plan, "plan")
    if _inputs(study, _settings(study, folder, plan.runs[0].numerics)) != plan.inputs:
        say("stale", f"{folder.plan} is followed as it is; the study was edited since: run 'bytegap plan' to follow it")


def extend(study: Study, folder: Folder) -> int:
    """Add the sizes that finished cells lack to bracket their minima; how many runs were added."""
    plan = read_record(folder.plan, Plan, "plan")
    if plan.rounds >= study.grid.extensions:
        return 0
    settings = _settings(study, folder, plan.runs[0].numerics)
    known = {spec.id for spec in plan.runs}
    added = [
        spec
        for name, setting in settings.items()
        for spec in missing(setting, _finished((spec for spec in plan.runs if spec.arm == name), folder))
        if spec.id not in known
    ]
    if added:
        runs = [*plan.runs, *added]
        write_record(folder.plan, plan.model_copy(update={"rounds": plan.rounds + 1, "runs": runs}))
        say("plan", f"round {plan.rounds + 1}: {len(added)} runs added where a minimum lay at the grid's edge")
    return len(added)


def tune(study: Study, folder: Folder) -> int:
    """Add the runs that the tuning audit lacks; how many were added. StoreError before a plan stands."""
    plan = read_record(folder.plan, Plan, "plan")
    scored = {spec.id: bpb for spec, bpb in _finished(plan.specs, folder)}
    added = [
        run
        for name, setting in _settings(study, folder, plan.runs[0].numerics).items()
        for run in tuning.missing(
            setting,
            [spec for spec in plan.runs if spec.arm == name],
            [run for run in plan.tuning if run.spec.arm == name],
            scored,
        )
    ]
    if added:
        write_record(folder.plan, plan.model_copy(update={"tuning": [*plan.tuning, *added]}))
        flops = sum(run.spec.flops for run in added)
        say("plan", f"tuning audit: {len(added)} runs added, {flops:.3g} FLOPs")
    return len(added)


def dry_run(plan: Plan, folder: Folder) -> None:
    """Arms x budgets x sizes, what they cost, and how long they will take here."""
    shapes = {estimate.alike(spec): spec for spec in plan.runs}
    step_s = {
        shape: estimate.seconds_a_step(spec) for shape, spec in track(shapes.items(), "timing a step of each shape")
    }
    table = Table(title=f"{plan.study}: {len(plan.runs)} runs", title_justify="left")
    for heading in ("arm", "budget", "N", "width x depth", "steps x symbols", "D", "bytes", "epochs", "FLOPs", "est."):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for spec in plan.runs:
        table.add_row(
            spec.arm,
            f"{spec.budget_flops:.2g}",
            f"{spec.non_embedding_parameters:,}",
            f"{spec.shape.get('width', '')} x {spec.shape.get('depth', '')}",
            f"{spec.steps} x {spec.rows_per_batch * spec.row_symbols}",
            f"{spec.symbols / 1e6:.2f}M",
            f"{spec.bytes / 1e6:.2f}M",
            f"{spec.epochs:.2f}" + (" !" if spec.epochs > 1 else ""),
            f"{spec.flops:.3g}",
            f"{spec.steps * step_s[estimate.alike(spec)]:.0f} s",
        )
    show(table)
    total_s = sum(spec.steps * step_s[estimate.alike(spec)] for spec in plan.runs) / plan.workers
    disk = sum(estimate.disk_bytes(spec) for spec in plan.runs)
    say(
        "plan",
        f"{sum(spec.flops for spec in plan.runs):.3g} FLOPs, about {total_s / 60:.1f} minutes of training steps "
        f"with {plan.workers} workers; {disk / 1e6:.0f} MB of disk under {Path(folder.root)}",
    )
    largest = [max(cell, key=lambda spec: spec.non_embedding_parameters) for cell in _cells(plan)]
    peak = max(estimate.peak_bytes(spec) for spec in track(largest, "counting what a step keeps in memory"))
    say("plan", f"about {peak / 1e9:.2f} GB of memory a worker, {plan.workers * peak / 1e9:.2f} GB in all")
    if any(spec.epochs > 1 for spec in plan.runs):
        say("plan", "runs marked ! see their text more than once")


def _cells(plan: Plan) -> list[list[RunSpec]]:
    cells: dict[tuple[str, float], list[RunSpec]] = {}
    for spec in plan.runs:
        cells.setdefault((spec.arm, spec.budget_flops), []).append(spec)
    return list(cells.values())


def _way_before(study: Study, folder: Folder) -> measure.Way | None:
    """Numerics and workers of the folder's plan, standing or stale; None if others are wanted, or the device gone."""
    try:
        plan = read_record(folder.plan, Plan, "plan")
    except StoreError:
        return None
    numerics = plan.runs[0].numerics
    asked_threads = study.compute.threads or numerics.threads
    if (numerics.device, numerics.threads) != (measure.plain(study.compute).device, asked_threads):
        return None
    measured_so = numerics.device == "cuda" and not study.compute.workers
    return numerics, plan.workers if measured_so else measure.workers(study.compute, numerics)


def _finished(specs: Iterable[RunSpec], folder: Folder) -> list[tuple[RunSpec, float]]:
    """Those that have a validation BPB, with it."""
    result = []
    for spec in specs:
        path = folder.run(spec.id) / "record.json"
        if path.exists():
            record = read_record(path, RunRecord, "train")
            if record.validation:
                result.append((spec, record.validation.bpb))
    return result


def _settings(study: Study, folder: Folder, numerics: Numerics) -> dict[str, Setting]:
    windows = read_record(folder.windows_manifest, WindowsManifest, "tokens")

    def manifest(name: str | None) -> TokensManifest | None:
        known = name in study.tokens
        return read_record(folder.tokens_of(name) / "manifest.json", TokensManifest, "tokens") if known else None

    settings = {
        name: Setting(
            study=study,
            arm_name=name,
            arm=arm,
            tokens=read_record(folder.tokens_of(arm.tokens) / "manifest.json", TokensManifest, "tokens"),
            windows=windows,
            numerics=numerics,
            told=manifest(told(plugins.load("objectives", arm.objective.name), arm.objective.options)),
        )
        for name, arm in study.arms.items()
    }
    for setting in settings.values():
        check(setting)
    return settings


def _inputs(study: Study, settings: dict[str, Setting]) -> str:
    """What a plan is made from: the study without its corpus, and the contents of tokens and windows."""
    asked = {"seed": True, "arms": True, "grid": True, "compute": {"workers", "threads"}}
    parts = study.model_dump(mode="json", include=asked)
    contents = {name: [s.tokens.content, s.windows.content, *_content(s.told)] for name, s in settings.items()}
    return digest([parts, contents])


def _content(manifest: TokensManifest | None) -> list[str]:
    return [manifest.content] if manifest else []
