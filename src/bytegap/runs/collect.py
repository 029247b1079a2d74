"""Collect plan and records of all runs into one table, and audit them.

Reads plan.json, runs/ID/*.json, the manifests and jobs.json; writes runs.jsonl, tuning.jsonl and audit.json. In a
folder that has the tables alone, as a study's results are kept, it makes the results of the tuning audit from them.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from rich.table import Table

from bytegap.console import fits, say, show, warn
from bytegap.errors import StudyDirError, counted
from bytegap.launch import slurm_queue
from bytegap.runs.audit import EndedRuns, audit
from bytegap.runs.row import outcome, run_row
from bytegap.runs.tuning_rows import tuning_rows
from bytegap.schema.plan import Plan
from bytegap.schema.runs import Audit, RunRow, Timings, TuningRow
from bytegap.study.directory import AUDIT, LIKELIHOODS, PLAN, RUNS, TUNING, StudyDir
from bytegap.tuning.analysis import analyse, summary

Span = tuple[float, float]
"""When something started, and how long it took, in seconds."""


def run(study_dir: StudyDir, *, with_audit: bool = False, print_runs: bool = True) -> list[RunRow]:
    """Write and print the table of all runs that ended, in the plan's order, and the audit's warnings.

    `with_audit` prints the audit as well. StudyDirError if no run has ended.
    """
    if study_dir.names(RUNS) and not study_dir.names(PLAN):
        return _audit_again(study_dir, with_audit=with_audit, print_runs=print_runs)
    plan = study_dir.plan()
    _log_jobs(study_dir, plan)
    ended = study_dir.records(plan.runs)
    kept = study_dir.rows_without_folder(plan.specs)
    rows = _collect(study_dir, plan, ended, kept)
    audited = study_dir.records(run.spec for run in plan.tuning)
    by_run = {row.run: row for row in (*rows, *_rows(study_dir, audited))}
    tuned = tuning_rows(study_dir, plan, by_run)
    earlier = study_dir.find(AUDIT) if kept else None
    earlier_rows = [row for row in earlier.runs if row.run in kept] if earlier else []
    tuning = analyse(tuned, rows)
    # Rows without records cannot be audited again.
    findings = audit(ended, tuning, earlier_rows) if ended or not earlier else _with_tuning(earlier, tuning)
    _warn_of_lost_scores(study_dir, rows)
    study_dir.write_rows(RUNS, rows)
    if tuned or study_dir.names(TUNING):
        study_dir.write_rows(TUNING, tuned)
    study_dir.write(AUDIT, findings)
    if print_runs:
        show(_widest_table(rows))
        _log_times(study_dir, plan)
        _log_pilot(study_dir)
    from_table = f", {len(kept)} as it had them, without a folder" if kept else ""
    say("collect", f"{len(rows)} of {len(plan.runs)} planned runs: {study_dir.path(RUNS)}{from_table}")
    _log_unplanned(study_dir, plan)
    _log_audit(findings, with_summary=with_audit)
    return rows


def _audit_again(study_dir: StudyDir, *, with_audit: bool, print_runs: bool) -> list[RunRow]:
    """The rows of runs.jsonl of a folder without a plan, after its tuning audit is made again from the tables."""
    rows, earlier = study_dir.runs(), study_dir.find(AUDIT)
    tuning = analyse(study_dir.tuning_runs(), rows)
    findings = _with_tuning(earlier or Audit(inputs_sha256="", runs=(), summary=(), warnings=()), tuning)
    if findings != earlier:
        study_dir.write(AUDIT, findings)
    if print_runs:
        show(_widest_table(rows))
    say("collect", f"{study_dir.path(PLAN)} is missing: {len(rows)} runs are taken from {study_dir.path(RUNS)}")
    _log_audit(findings, with_summary=with_audit)
    return rows


def _with_tuning(findings: Audit, tuning: Sequence[TuningRow]) -> Audit:
    return findings.model_copy(update={"tuning": tuple(tuning), "tuning_summary": summary(tuning)})


def _collect(study_dir: StudyDir, plan: Plan, ended: EndedRuns, kept: Mapping[str, RunRow]) -> list[RunRow]:
    """The row of each run that ended; `kept` are those of runs without a folder. StudyDirError if there is none."""
    if not ended and not kept:
        raise StudyDirError(f"{study_dir.runs_dir}: no run has finished yet: run 'bytegap train' first")
    rows = dict(kept) | {row.run: row for row in _rows(study_dir, ended)}
    return [rows[spec.id] for spec in plan.runs if spec.id in rows]


def _rows(study_dir: StudyDir, ended: EndedRuns) -> list[RunRow]:
    """The rows of runs that ended."""
    if not ended:
        return []
    windows = study_dir.windows()
    tokenizers = {name: study_dir.tokenizer(name) for name in {spec.tokenizer for spec, _ in ended}}
    rows: list[RunRow] = []
    for spec, record in ended:
        tokenizer = tokenizers[spec.tokenizer]
        row = run_row(spec, windows, tokenizer.kind, tokenizer.vocab_size, outcome(spec, record, windows))
        other = study_dir.find(LIKELIHOODS, spec.id)
        if other:
            row = row.model_copy(update={"likelihoods": other.scores, "length_mass": other.length_mass})
        rows.append(row)
    return rows


def _warn_of_lost_scores(study_dir: StudyDir, rows: Sequence[RunRow]) -> None:
    """Which rows had likelihoods or ln Z(n) in the runs.jsonl that is there, and have them no longer."""
    try:
        earlier = {row.run: row for row in study_dir.runs()} if study_dir.names(RUNS) else {}
    except StudyDirError:  # a damaged table is overwritten below
        return
    lost = [row for row in rows if row.run in earlier and _scores(earlier[row.run]) - _scores(row)]
    if lost:
        names = ", ".join(f"{row.run} ({row.arm})" for row in lost)
        warn(
            "collect",
            f"{counted(len(lost), 'row')} of {RUNS.pattern} had likelihoods or ln Z that are dropped now, because "
            f"{LIKELIHOODS.file_name} in the run's folder lacks them: {names}; 'bytegap train' scores them again",
        )


def _scores(row: RunRow) -> set[tuple[str, str]]:
    """What a row has besides the run's own score."""
    mass = {("test", "ln Z")} if row.length_mass else set[tuple[str, str]]()
    return mass | {(each.split, each.likelihood) for each in row.likelihoods}


def _widest_table(rows: Sequence[RunRow]) -> Table:
    """The table with as many columns as fit: ids must stay whole, to be copied."""
    counts = range(len(_LEFT_OUT_FIRST) + 1)
    tables = [_table(rows, set(_LEFT_OUT_FIRST[:count])) for count in counts]
    return next((table for table in tables if fits(table)), tables[-1])


def _table(rows: Sequence[RunRow], left_out: AbstractSet[str]) -> Table:
    headings = [heading for heading in _COLUMNS if heading not in left_out]
    table = Table()
    for heading in headings:
        is_text = heading in {"run", "arm", "status"}
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=heading != "status")
    for row in rows:
        table.add_row(*(_COLUMNS[heading](row) for heading in headings))
    return table


def _bpb(row: RunRow) -> str:
    """BPB with its standard error, which an exact likelihood does not have."""
    if row.bpb is None:
        return "-"
    return f"{row.bpb:.4f} +- {row.bpb_se:.4f}" if row.bpb_se else f"{row.bpb:.4f}"


_COLUMNS: dict[str, Callable[[RunRow], str]] = {
    "run": lambda row: row.run,
    "arm": lambda row: row.arm,
    "budget": lambda row: f"{row.budget_flops:.2g}",
    "N": lambda row: f"{row.non_embedding_parameters:,}",
    "D": lambda row: f"{row.tokens / 1e6:.2f}M",
    "epochs": lambda row: f"{row.epochs:.2f}",
    "test BPB": _bpb,
    "unigram": lambda row: f"{row.unigram_bpb:.3f}",
    "status": lambda row: row.status if row.status == "finished" else f"failed: {row.reason}",
}
_LEFT_OUT_FIRST = ("epochs", "unigram", "D", "N", "budget", "arm", "status", "test BPB")
"""Columns in the order in which a narrow terminal goes without them."""


def _log_times(study_dir: StudyDir, plan: Plan) -> None:
    """Where the workers' time went, runs of the tuning audit left out."""
    found = (study_dir.run(spec.id).find_timings() for spec in plan.runs)
    timings = [each for each in found if each is not None]
    if not timings:
        return
    train_s, evaluate_s = sum(each.train_s for each in timings), sum(each.evaluate_s for each in timings)
    flops_per_s = sum(each.flops_per_s * each.train_s for each in timings) / train_s
    wall_s, parallel = wall_clock(sorted(_span(each) for each in timings))
    more = max(0.0, wall_s * parallel / train_s - 1)  # below 0 only because starts are in whole seconds
    say(
        "collect",
        f"{train_s:.0f} s of training and {evaluate_s:.0f} s of evaluation, up to {parallel} runs at a time, "
        f"{flops_per_s / 1e9:.1f} GFLOP/s each; {wall_s / 60:.1f} min wall clock, "
        f"{more:.0%} more than training alone",
    )
    written = [(each.checkpoint_s, each.train_s) for each in timings if each.checkpoint_s is not None]
    if written:
        share = sum(checkpoint_s for checkpoint_s, _ in written) / sum(own_s for _, own_s in written)
        largest = max(checkpoint_s / own_s for checkpoint_s, own_s in written)
        say("collect", f"checkpoints took {100 * share:.2f} % of training, {100 * largest:.2f} % of a run at most")


def _log_pilot(study_dir: StudyDir) -> None:
    """What the pilot took, whose runs are in no table."""
    timings = (study_dir.run(spec.id).find_timings() for spec in study_dir.pilot_runs())
    found = [each for each in timings if each is not None]
    seconds = sum(each.train_s + each.evaluate_s for each in found)
    if found:
        say("collect", f"{len(found)} runs of the pilot, {seconds:.0f} s, are part of the hours and of no fit")


def _span(timings: Timings) -> Span:
    return datetime.fromisoformat(timings.started).timestamp(), timings.train_s + timings.evaluate_s


def wall_clock(spans: Sequence[Span]) -> tuple[float, int]:
    """From spans by ascending start: the seconds in which any of them ran, and how many ran at a time at most.

    Starts are rounded to seconds, so a span that starts within a second before another ends did not overlap it.
    """
    wall_s, until = 0.0, 0.0
    for start, took_s in spans:
        wall_s += max(0.0, start + took_s - max(start, until))
        until = max(until, start + took_s)
    others = [sum(start + took_s - 1 > now for start, took_s in spans[:i]) for i, (now, _) in enumerate(spans)]
    return wall_s, 1 + max(others)


def _log_jobs(study_dir: StudyDir, plan: Plan) -> None:
    """States of the cluster jobs of runs that have not ended."""
    jobs = slurm_queue.job_states(study_dir)
    for spec in study_dir.unfinished(plan.specs):
        if job := jobs.get(spec.id):
            state = job.state if job.state != "gone" else "failed: its job ended without a record"
            reason = f" ({job.reason})" if job.reason else ""
            say("collect", f"{spec.id} {spec.arm}: {state}{reason}; {job.log}")


def _log_unplanned(study_dir: StudyDir, plan: Plan) -> None:
    """How many runs there are that the plan does not have."""
    known = {spec.id for spec in [*plan.specs, *study_dir.pilot_runs()]}
    unplanned = [
        path for path in study_dir.runs_dir.glob("*") if path.name not in known and study_dir.run(path.name).was_started
    ]
    if unplanned:
        say("collect", f"{len(unplanned)} runs of earlier plans in {study_dir.runs_dir} are left out")


def _log_audit(findings: Audit, *, with_summary: bool) -> None:
    for line in (*findings.summary, *findings.tuning_summary) if with_summary else ():
        say("audit", line)
    for line in findings.warnings:
        warn("audit", line)
