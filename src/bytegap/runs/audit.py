"""Plan against records: was the compute spent that was planned, and was every arm trained and scored alike?

Planned FLOPs come from formulas, spent FLOPs from torch's counter on one real step times the steps executed: two
independent numbers.
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from bytegap.records import Audit, AuditRow, RunRecord, RunSpec, TuningRow, digest
from bytegap.runs.tuning import summary

FLOPS_TOLERANCE = 0.01

Done = list[tuple[RunSpec, RunRecord]]


def audit(done: Done, tuning: Sequence[TuningRow] = ()) -> Audit:
    """The audit of finished and failed runs, with what was found of the rule for learning rate and batch."""
    rows = [_row(spec, record) for spec, record in done]
    finished = [(spec, record) for spec, record in done if record.status == "finished"]
    return Audit(
        inputs=digest(
            [[spec.content, record.content] for spec, record in done] + [row.model_dump(mode="json") for row in tuning]
        ),
        runs=rows,
        tuning=list(tuning),
        summary=[*_summary(rows, finished), *summary(tuning)],
        warnings=_warnings(rows, done),
    )


def _row(spec: RunSpec, record: RunRecord) -> AuditRow:
    steps = max(record.steps, 1)
    return AuditRow(
        run=spec.id,
        arm=spec.arm,
        budget_flops=spec.budget_flops,
        planned_flops=spec.flops,
        spent_flops=record.spent_flops,
        ratio=record.spent_flops / spec.flops,
        supervised_per_step=record.supervised_symbols / steps,
        epochs=spec.epochs,
        gradient_norm_median=record.gradient_norm.median if record.gradient_norm else None,
        clipped_fraction=record.clipped_steps / steps,
        update_rms_body=record.update_rms.get("body"),
        windows_sha256=record.test.windows_sha256 if record.test else "",
    )


def _summary(rows: list[AuditRow], finished: Done) -> list[str]:
    if not finished:
        return ["no run finished"]
    ratios = [row.ratio for row in rows if row.run in {spec.id for spec, _ in finished}]
    lines = [
        (
            f"counted over planned FLOPs: {min(ratios):.4f} to {max(ratios):.4f} over {len(ratios)} finished runs "
            f"({'all' if all(abs(r - 1) <= FLOPS_TOLERANCE for r in ratios) else 'NOT all'} within 1 %)"
        )
    ]
    off = [
        abs(record.analytic_supervised_step_flops / record.counted_supervised_step_flops - 1) for _, record in finished
    ]
    lines.append(f"formula against torch's counter for the shipped step: largest difference {max(off):.1e}")
    windows = {row.windows_sha256 for row in rows if row.windows_sha256}
    lines.append(
        f"test windows: {'the same text for every run' if len(windows) == 1 else f'{len(windows)} DIFFERENT texts'}"
    )
    if any(spec.numerics.compile for spec, _ in finished):
        lines.append(_compiled(finished))
    by_arm: dict[str, list[AuditRow]] = defaultdict(list)
    for row in rows:
        by_arm[row.arm].append(row)
    for arm, own in by_arm.items():
        norms = [row.gradient_norm_median for row in own if row.gradient_norm_median is not None]
        updates = [row.update_rms_body for row in own if row.update_rms_body is not None]
        lines.append(
            f"{arm}: supervised symbols a step {median(row.supervised_per_step for row in own):.0f}, epochs up to "
            f"{max(row.epochs for row in own):.2f}, gradient norm {median(norms or [0]):.2f}, clipped "
            f"{median(row.clipped_fraction for row in own):.0%} of steps, update over weight RMS "
            f"{median(updates or [0]):.1e}"
        )
    return lines


def _compiled(finished: Done) -> str:
    planned = [record for spec, record in finished if spec.numerics.compile]
    kept = sum(not record.compile_error for record in planned)
    return f"compiled code: kept to the end by {kept} of the {len(planned)} finished runs that were planned so"


def _warnings(rows: list[AuditRow], done: Done) -> list[str]:
    failed = {spec.id: record.reason for spec, record in done if record.status == "failed"}
    warnings = [f"run {run} failed: {reason}" for run, reason in failed.items()]
    warnings += [
        f"run {row.run} of {row.arm} spent {row.ratio:.3f} of its planned FLOPs"
        for row in rows
        if row.run not in failed and abs(row.ratio - 1) > FLOPS_TOLERANCE
    ]
    warnings += [
        f"run {spec.id} of {spec.arm} was computed eagerly, compiled code failed: {record.compile_error}"
        for spec, record in done
        if record.compile_error
    ]
    repeated: dict[str, float] = {}
    for row in rows:
        if row.epochs > 1:
            repeated[row.arm] = max(row.epochs, repeated.get(row.arm, 0))
    warnings += [
        f"{arm} saw its training text more than once in some runs (up to {epochs:.2f} epochs)"
        for arm, epochs in repeated.items()
    ]
    if len({row.windows_sha256 for row in rows if row.windows_sha256}) > 1:
        warnings.append("not all runs were scored on the same test windows: they must not be compared")
    return warnings
