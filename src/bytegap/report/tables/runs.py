"""Tables of runs.jsonl and audit.json: every run, its planned and spent compute, and the tuning audit."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.schema.runs import AuditRow, RunRow
from bytegap.schema.tuning import TuningRow

_AUDIT = "../audit.json"
_TUNING: tuple[Column[TuningRow] | Interval[TuningRow], ...] = (
    Column("arm", "arm", lambda row: row.arm),
    Column("budget_flops", "budget, FLOPs", lambda row: row.budget_flops, fmt.flops),
    Column("non_embedding_parameters", "N", lambda row: row.non_embedding_parameters, fmt.count),
    Column("best_rate", "best learning rate / rule's", lambda row: row.best_rate.value, fmt.four_digits),
    Column("best_batch", "best batch size / rule's", lambda row: row.best_batch.value, fmt.four_digits),
    Column(
        "best_weight_decay",
        "best weight decay / rule's",
        lambda row: row.best_weight_decay.value,
        fmt.four_digits,
    ),
    Column("bracketed", "bracketed", lambda row: row.bracketed),
    Column("seed_log_bpb", "between-seed SD of log BPB", lambda row: row.seed_log_bpb, fmt.four_digits),
    Interval("lost_bpb", "cost, BPB", lambda row: row.lost_bpb, fmt.bpb),
    Interval("lost_compute", "cost, share of compute", lambda row: row.lost_compute),
)


def runs(inputs: Inputs) -> Table:
    """One row per run; its id links to its record."""
    about = About(
        name="runs",
        title="Runs",
        caption="Every run. N: non-embedding parameters; D: training tokens; BPB on the test windows.",
        source="../runs.jsonl",
    )
    return Table.of(about, inputs.runs, _run_columns(inputs))


def _run_columns(inputs: Inputs) -> tuple[Column[RunRow], ...]:
    return (
        Column("run", "run", lambda row: row.run, href=lambda row: inputs.run_link(row.run)),
        Column("arm", "arm", lambda row: row.arm),
        Column("status", "status", lambda r: r.status if r.status == "finished" else f"{r.status}: {r.reason}"),
        Column("budget_flops", "budget, FLOPs", lambda row: row.budget_flops, fmt.flops),
        Column("flops", "planned, FLOPs", lambda row: row.flops, fmt.flops),
        Column("spent_flops", "spent, FLOPs", lambda row: row.spent_flops, fmt.flops),
        Column("non_embedding_parameters", "N", lambda row: row.non_embedding_parameters, fmt.count),
        Column("tokens", "D, tokens", lambda row: row.tokens, fmt.count),
        Column("d_model", "d_model", lambda row: row.d_model, str),
        Column("n_layers", "n_layers", lambda row: row.n_layers, str),
        Column("steps", "steps", lambda row: row.steps, fmt.integer),
        Column("epochs", "epochs", lambda row: row.epochs, fmt.four_digits),
        Column("learning_rate", "learning rate", lambda row: row.learning_rate, fmt.four_digits),
        Column("seed", "seed", lambda row: row.seed, str),
        Column("bpb", "BPB", lambda row: row.bpb, fmt.bpb),
        Column("bpb_se", "standard error", lambda row: row.bpb_se, fmt.bpb),
    )


def audit(inputs: Inputs) -> Table | None:
    """One row per run: planned and spent FLOPs, optimisation, scored text; None without audit.json."""
    if inputs.audit is None:
        return None
    about = About(
        name="audit",
        title="Audit of runs",
        caption=(
            "Two independent counts of training FLOPs: planned by formula, and spent, which is one real step counted "
            "by PyTorch's FLOP counter times the steps executed."
        ),
        source=_AUDIT,
    )
    return Table.of(about, inputs.audit.runs, _audit_columns(inputs))


def _audit_columns(inputs: Inputs) -> tuple[Column[AuditRow], ...]:
    return (
        Column("run", "run", lambda row: row.run, href=lambda row: inputs.run_link(row.run)),
        Column("arm", "arm", lambda row: row.arm),
        Column("budget_flops", "budget, FLOPs", lambda row: row.budget_flops, fmt.flops),
        Column("planned_flops", "planned, FLOPs", lambda row: row.planned_flops, fmt.flops),
        Column("spent_flops", "spent, FLOPs", lambda row: row.spent_flops, fmt.flops),
        Column("ratio", "spent / planned", lambda row: row.ratio, fmt.six_decimals),
        Column(
            "supervised_per_step", "supervised tokens per step", lambda row: row.supervised_per_step, fmt.four_digits
        ),
        Column("epochs", "epochs", lambda row: row.epochs, fmt.four_digits),
        Column("gradient_norm_median", "median gradient norm", lambda row: row.gradient_norm_median, fmt.four_digits),
        Column("clipped_fraction", "share of clipped steps", lambda row: row.clipped_fraction, fmt.four_digits),
        Column("update_rms_body", "update / weight RMS", lambda row: row.update_rms_body, fmt.four_digits),
        Column("windows_sha256", "test windows", lambda row: row.windows_sha256, text=lambda r: r.windows_sha256[:8]),
    )


def tuning(inputs: Inputs) -> Table | None:
    """One row per swept arm and budget: the best setting and what the shared rule costs; None without a sweep."""
    if inputs.audit is None or not inputs.audit.tuning:
        return None
    about = About(
        name="tuning",
        title="Tuning audit",
        caption=(
            "Learning rate, batch size and weight decay varied about the shared rule, one at a time; "
            "validation BPB. The best factors are at the parabola's minimum; the compute that the rule costs is read "
            "off the arm's own frontier. Intervals are 95 % CI."
        ),
        source=_AUDIT,
    )
    return Table.of(about, inputs.audit.tuning, _TUNING)
