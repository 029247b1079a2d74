"""Tables of runs.jsonl and audit.json: every run, its planned and spent compute, and the tuning audit."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import Column, Entry, Table, number, text, with_interval, yes_no


def runs(inputs: Inputs) -> Table:
    """One row per run; its id links to its record."""
    rows = [
        (
            text(row.run, inputs.run_link(row.run)),
            text(row.arm),
            text(row.status if row.status == "finished" else f"{row.status}: {row.reason}"),
            number(row.budget_flops, fmt.flops),
            number(row.flops, fmt.flops),
            number(row.spent_flops, fmt.flops),
            number(row.non_embedding_parameters, fmt.count),
            number(row.tokens, fmt.count),
            number(row.d_model),
            number(row.n_layers),
            number(row.steps, fmt.integer),
            number(row.epochs, fmt.four_digits),
            number(row.learning_rate, fmt.four_digits),
            number(row.seed),
            number(row.bpb, fmt.bpb),
            number(row.bpb_se, fmt.bpb),
        )
        for row in inputs.runs
    ]
    return Table(
        name="runs",
        title="Runs",
        caption="Every run. N: non-embedding parameters; D: training tokens; BPB on the test windows.",
        source="../runs.jsonl",
        columns=(
            Column("run", "run", numeric=False),
            Column("arm", "arm", numeric=False),
            Column("status", "status", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("flops", "planned, FLOPs"),
            Column("spent_flops", "spent, FLOPs"),
            Column("non_embedding_parameters", "N"),
            Column("tokens", "D, tokens"),
            Column("d_model", "d_model"),
            Column("n_layers", "n_layers"),
            Column("steps", "steps"),
            Column("epochs", "epochs"),
            Column("learning_rate", "learning rate"),
            Column("seed", "seed"),
            Column("bpb", "BPB"),
            Column("bpb_se", "standard error"),
        ),
        rows=tuple(rows),
    )


def audit(inputs: Inputs) -> Table | None:
    """One row per run: planned and spent FLOPs, optimisation, scored text; None without audit.json."""
    if inputs.audit is None:
        return None
    rows = [
        (
            text(row.run, inputs.run_link(row.run)),
            text(row.arm),
            number(row.budget_flops, fmt.flops),
            number(row.planned_flops, fmt.flops),
            number(row.spent_flops, fmt.flops),
            number(row.ratio, fmt.six_decimals),
            number(row.supervised_per_step, fmt.four_digits),
            number(row.epochs, fmt.four_digits),
            number(row.gradient_norm_median, fmt.four_digits),
            number(row.clipped_fraction, fmt.four_digits),
            number(row.update_rms_body, fmt.four_digits),
            Entry(row.windows_sha256, row.windows_sha256[:8]),
        )
        for row in inputs.audit.runs
    ]
    return Table(
        name="audit",
        title="Audit of runs",
        caption=(
            "Two independent counts of training FLOPs: planned by formula, and spent, which is one real step counted "
            "by PyTorch's FLOP counter times the steps executed."
        ),
        source="../audit.json",
        columns=(
            Column("run", "run", numeric=False),
            Column("arm", "arm", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("planned_flops", "planned, FLOPs"),
            Column("spent_flops", "spent, FLOPs"),
            Column("ratio", "spent / planned"),
            Column("supervised_per_step", "supervised tokens per step"),
            Column("epochs", "epochs"),
            Column("gradient_norm_median", "median gradient norm"),
            Column("clipped_fraction", "share of clipped steps"),
            Column("update_rms_body", "update / weight RMS"),
            Column("windows_sha256", "test windows", numeric=False),
        ),
        rows=tuple(rows),
    )


def tuning(inputs: Inputs) -> Table | None:
    """One row per swept arm and budget: the best setting and what the shared rule costs; None without a sweep."""
    if inputs.audit is None or not inputs.audit.tuning:
        return None
    rows = [
        (
            text(row.arm),
            number(row.budget_flops, fmt.flops),
            number(row.non_embedding_parameters, fmt.count),
            number(row.best_rate.value, fmt.four_digits),
            number(row.best_batch.value, fmt.four_digits),
            number(row.best_weight_decay.value, fmt.four_digits),
            yes_no(row.bracketed),
            number(row.seed_log_bpb, fmt.four_digits),
            *with_interval(row.lost_bpb, fmt.bpb),
            *with_interval(row.lost_compute, fmt.four_digits),
        )
        for row in inputs.audit.tuning
    ]
    return Table(
        name="tuning",
        title="Tuning audit",
        caption=(
            "Learning rate, batch size and weight decay varied about the shared rule, one at a time; "
            "validation BPB. The best factors are at the parabola's minimum; the compute that the rule costs is read "
            "off the arm's own frontier. Intervals are 95 % CI."
        ),
        source="../audit.json",
        columns=(
            Column("arm", "arm", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("non_embedding_parameters", "N"),
            Column("best_rate", "best learning rate / rule's"),
            Column("best_batch", "best batch size / rule's"),
            Column("best_weight_decay", "best weight decay / rule's"),
            Column("bracketed", "bracketed", numeric=False),
            Column("seed_log_bpb", "between-seed SD of log BPB"),
            Column("lost_bpb", "cost, BPB"),
            Column("lost_bpb_low", "low"),
            Column("lost_bpb_high", "high"),
            Column("lost_compute", "cost, share of compute"),
            Column("lost_compute_low", "low"),
            Column("lost_compute_high", "high"),
        ),
        rows=tuple(rows),
    )
