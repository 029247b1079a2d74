"""Audit plan against records: was the planned compute spent, and were all arms trained and scored alike?

Planned FLOPs come from formulas. Spent FLOPs are torch's count of one executed step, times the number of steps. The two
numbers are independent. Reads and writes nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from bytegap.schema.base import digest
from bytegap.schema.plan import RunSpec
from bytegap.schema.runs import Audit, AuditRow, RunRecord
from bytegap.schema.tuning import TuningRow
from bytegap.tuning.analysis import summary

FLOPS_TOLERANCE = 0.01
"""Largest relative difference between spent and planned FLOPs that needs no warning."""

EndedRuns = Sequence[tuple[RunSpec, RunRecord]]


def audit(ended: EndedRuns, tuning: Sequence[TuningRow] = (), kept: Sequence[AuditRow] = ()) -> Audit:
    """The audit of finished and failed runs, and the results of the tuning audit.

    `kept` are rows of an earlier audit, of runs that have no folder any more.
    """
    rows = [*kept, *(_row(spec, record) for spec, record in ended)]
    return Audit(
        inputs_sha256=digest(
            [[spec.content_sha256, record.content_sha256] for spec, record in ended]
            + [row.model_dump(mode="json") for row in (*tuning, *kept)]
        ),
        runs=tuple(rows),
        tuning=tuple(tuning),
        summary=tuple(_summary(rows, ended)),
        tuning_summary=tuple(summary(tuning)),
        warnings=tuple(_warnings(rows, ended)),
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
        supervised_per_step=record.supervised_tokens / steps,
        epochs=spec.epochs,
        gradient_norm_median=record.gradient_norm.median if record.gradient_norm else None,
        clipped_fraction=record.clipped_steps / steps,
        update_rms_body=record.update_rms.get("body"),
        windows_sha256=record.test.windows_sha256 if record.test else "",
    )


def _summary(rows: Sequence[AuditRow], ended: EndedRuns) -> list[str]:
    """One sentence for each property, then one for each arm."""
    finished = [(spec, record) for spec, record in ended if record.status == "finished"]
    if not finished:
        return ["no run finished"]
    lines = [_flops_line(rows, finished), _step_line(finished), _windows_line(rows)]
    if any(spec.execution.compile for spec, _ in finished):
        lines.append(_compiled_line(finished))
    by_arm: dict[str, list[AuditRow]] = defaultdict(list)
    for row in rows:
        by_arm[row.arm].append(row)
    return lines + [_arm_line(arm, own) for arm, own in by_arm.items()]


def _flops_line(rows: Sequence[AuditRow], finished: EndedRuns) -> str:
    runs = {spec.id for spec, _ in finished}
    ratios = [row.ratio for row in rows if row.run in runs]
    within = "all" if all(abs(ratio - 1) <= FLOPS_TOLERANCE for ratio in ratios) else "NOT all"
    return (
        f"counted over planned FLOPs: {min(ratios):.4f} to {max(ratios):.4f} over {len(ratios)} finished runs "
        f"({within} within 1 %)"
    )


def _step_line(finished: EndedRuns) -> str:
    off = [
        abs(record.analytic_supervised_step_flops / record.counted_supervised_step_flops - 1) for _, record in finished
    ]
    return f"FLOPs of the executed step, formula against torch's counter: largest difference {max(off):.1e}"


def _windows_line(rows: Sequence[AuditRow]) -> str:
    texts = {row.windows_sha256 for row in rows if row.windows_sha256}
    return f"test windows: {'the same text for every run' if len(texts) == 1 else f'{len(texts)} DIFFERENT texts'}"


def _compiled_line(finished: EndedRuns) -> str:
    planned = [record for spec, record in finished if spec.execution.compile]
    kept = sum(not record.compile_error for record in planned)
    return f"compiled code: used to the end by {kept} of the {len(planned)} finished runs that were planned compiled"


def _arm_line(arm: str, rows: Sequence[AuditRow]) -> str:
    """Medians over the arm's runs, and the most epochs."""
    norms = [row.gradient_norm_median for row in rows if row.gradient_norm_median is not None]
    updates = [row.update_rms_body for row in rows if row.update_rms_body is not None]
    return (
        f"{arm}: supervised tokens per step {median(row.supervised_per_step for row in rows):.0f}, epochs up to "
        f"{max(row.epochs for row in rows):.2f}, gradient norm {median(norms or [0]):.2f}, clipped "
        f"{median(row.clipped_fraction for row in rows):.0%} of steps, update over weight RMS "
        f"{median(updates or [0]):.1e}"
    )


def _warnings(rows: Sequence[AuditRow], ended: EndedRuns) -> list[str]:
    failed = {spec.id: record.reason for spec, record in ended if record.status == "failed"}
    warnings = [f"run {run} failed: {reason}" for run, reason in failed.items()]
    warnings += [
        f"run {row.run} of {row.arm} spent {row.ratio:.3f} of its planned FLOPs"
        for row in rows
        if row.run not in failed and abs(row.ratio - 1) > FLOPS_TOLERANCE
    ]
    warnings += [
        f"run {spec.id} of {spec.arm} was computed eagerly, compiled code failed: {record.compile_error}"
        for spec, record in ended
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
