"""Collect plan and records into `runs.jsonl`, and audit them. Reads runs/ID/*.json; writes runs.jsonl, audit.json."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from bytegap import slurm
from bytegap.console import say, show
from bytegap.errors import StoreError
from bytegap.records import (
    Plan,
    RunRecord,
    RunRow,
    RunSpec,
    Timings,
    TokensManifest,
    WindowsManifest,
)
from bytegap.runs.audit import audit
from bytegap.runs.tuning import judge
from bytegap.store import Folder, read_record, write_record, write_table


def run(folder: Folder, *, with_audit: bool = False, show: bool = True) -> list[RunRow]:
    """The table of every run that has a record, in the plan's order; StoreError if there is none."""
    plan = read_record(folder.plan, Plan, "plan")
    done = [
        (spec, read_record(folder.run(spec.id) / "record.json", RunRecord, "train"))
        for spec in plan.runs
        if (folder.run(spec.id) / "record.json").exists()
    ]
    _say_jobs(folder, plan)
    if not done:
        message = f"{folder.runs}: no run has finished yet: run 'bytegap train' first"
        raise StoreError(message)
    windows = read_record(folder.windows_manifest, WindowsManifest, "tokens")
    manifests = {
        name: read_record(folder.tokens_of(name) / "manifest.json", TokensManifest, "tokens")
        for name in {spec.tokens for spec in plan.runs}
    }
    rows = [_row(spec, record, windows, manifests[spec.tokens]) for spec, record in done]
    write_table(folder.table, rows)
    findings = audit(done, judge(plan, _validation_bpb(folder, plan)))
    write_record(folder.audit, findings)
    if show:
        _print(rows)
        _print_time(folder, plan)
    say("runs", f"{len(rows)} of {len(plan.runs)} planned runs in {folder.table}")
    _say_orphans(folder, plan)
    if with_audit:
        for line in findings.summary:
            say("audit", line)
    for line in findings.warnings:
        say("audit", line, style="yellow")
    return rows


def _validation_bpb(folder: Folder, plan: Plan) -> dict[str, float]:
    """Of every finished run, the tuning audit's among them."""
    scored: dict[str, float] = {}
    for spec in plan.specs:
        path = folder.run(spec.id) / "record.json"
        if path.exists() and (score := read_record(path, RunRecord, "train").validation):
            scored[spec.id] = score.bpb
    return scored


def _row(spec: RunSpec, record: RunRecord, windows: WindowsManifest, tokens: TokensManifest) -> RunRow:
    test = windows.splits["test"]
    return RunRow(
        **spec.planned,
        status=record.status,
        reason=record.reason,
        tokens_kind=tokens.kind,
        vocabulary=tokens.vocabulary,
        context_bytes=windows.context_bytes,
        spent_flops=record.spent_flops,
        bpb=record.test.bpb if record.test else None,
        bpb_se=record.test.bpb_se if record.test else None,
        validation_bpb=record.validation.bpb if record.validation else None,
        unigram_bpb=test.tokens[spec.tokens].unigram_bpb,
        bigram_bpb=test.tokens[spec.tokens].bigram_bpb,
        windows_sha256=record.test.windows_sha256 if record.test else test.sha256,
    )


def _print(rows: list[RunRow]) -> None:
    table = Table()
    for heading in ("run", "arm", "budget", "N", "D", "epochs", "test BPB", "unigram", "status"):
        table.add_column(heading, justify="left" if heading in {"run", "arm", "status"} else "right")
    for row in rows:
        score = f"{row.bpb:.4f} +- {row.bpb_se:.4f}" if row.bpb is not None else "-"
        table.add_row(
            row.run,
            row.arm,
            f"{row.budget_flops:.2g}",
            f"{row.non_embedding_parameters:,}",
            f"{row.symbols / 1e6:.2f}M",
            f"{row.epochs:.2f}",
            score,
            f"{row.unigram_bpb:.3f}",
            row.status if row.status == "finished" else f"failed: {row.reason}",
        )
    show(table)


def _print_time(folder: Folder, plan: Plan) -> None:
    """Where the wall-clock of the study's workers went, the tuning audit's runs apart."""
    paths = [folder.run(spec.id) / "timings.json" for spec in plan.runs]
    timings = [read_record(path, Timings, "train") for path in paths if path.exists()]
    if not timings:
        return
    train_s, evaluate_s = sum(t.train_s for t in timings), sum(t.evaluate_s for t in timings)
    spans = sorted((datetime.fromisoformat(t.started).timestamp(), t.train_s + t.evaluate_s) for t in timings)
    wall_s, beside = _wall(spans)
    say(
        "runs",
        f"{train_s:.0f} s of training and {evaluate_s:.0f} s of evaluation, {beside} runs at once, "
        f"{sum(t.flops_per_s * t.train_s for t in timings) / train_s / 1e9:.1f} GFLOP/s each; "
        f"{wall_s / 60:.1f} minutes in which any ran, {wall_s * beside / train_s:.2f} times the training alone",
    )
    told = [(t.checkpoint_s, t.train_s) for t in timings if t.checkpoint_s is not None]
    if told:
        share, most = sum(s for s, _ in told) / sum(all_s for _, all_s in told), max(s / all_s for s, all_s in told)
        say("runs", f"{100 * share:.2f} % of training went into checkpoints, {100 * most:.2f} % of a run at most")


def _wall(spans: Sequence[tuple[float, float]]) -> tuple[float, int]:
    """Of (start, how long) in order of start: seconds in which any ran, and how many did at once, at most.

    Starts are in whole seconds: what began in the second in which another ended was not beside it.
    """
    wall_s, until = 0.0, 0.0
    for start, took_s in spans:
        wall_s += max(0.0, start + took_s - max(start, until))
        until = max(until, start + took_s)
    beside = [sum(start + took_s - 1 > now for start, took_s in spans[:i]) for i, (now, _) in enumerate(spans)]
    return wall_s, 1 + max(beside)


def _say_jobs(folder: Folder, plan: Plan) -> None:
    """Where the jobs of runs without a record stand, if any was submitted to a cluster."""
    jobs = slurm.standings(folder)
    for spec in plan.specs:
        if spec.id in jobs and not (folder.run(spec.id) / "record.json").exists():
            job = jobs[spec.id]
            state = job.state if job.state != "gone" else "failed: its job ended without a record"
            why = f" ({job.reason})" if job.reason else ""
            say("runs", f"{spec.id} {spec.arm}: {state}{why}; {job.log}")


def _say_orphans(folder: Folder, plan: Plan) -> None:
    known = {spec.id for spec in plan.specs}
    orphans = [path.name for path in folder.runs.iterdir() if path.is_dir() and path.name not in known]
    if orphans:
        say("runs", f"{len(orphans)} runs of earlier plans lie in {folder.runs} and are not counted")
