"""Tables of single runs: what each was and reached, and the audit of plan against record."""

from bytegap.report import text
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, interval, number, words


def runs(inputs: Inputs) -> Table:
    """A row a run; its id links to its record."""
    rows = [
        (
            words(row.run, inputs.link(row.run)),
            words(row.arm),
            words(row.status if row.status == "finished" else f"{row.status}: {row.reason}"),
            number(row.budget_flops, text.flops),
            number(row.flops, text.flops),
            number(row.spent_flops, text.flops),
            number(row.non_embedding_parameters, text.count),
            number(row.symbols, text.count),
            number(row.width),
            number(row.depth),
            number(row.steps, text.whole),
            number(row.epochs, text.general),
            number(row.learning_rate, text.general),
            number(row.seed),
            number(row.bpb, text.bpb),
            number(row.bpb_se, text.bpb),
        )
        for row in inputs.runs
    ]
    return Table(
        name="runs",
        title="Runs",
        caption="Every run; N non-embedding parameters, D training symbols, BPB on the test windows.",
        source="../runs.jsonl",
        columns=(
            Column("run", "run", numeric=False),
            Column("arm", "arm", numeric=False),
            Column("status", "status", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("flops", "planned, FLOPs"),
            Column("spent_flops", "spent, FLOPs"),
            Column("non_embedding_parameters", "N"),
            Column("symbols", "D, symbols"),
            Column("width", "width"),
            Column("depth", "depth"),
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
    """A row a run: planned against spent FLOPs, optimisation, the text it was scored on; None before an audit."""
    if inputs.audit is None:
        return None
    rows = [
        (
            words(row.run, inputs.link(row.run)),
            words(row.arm),
            number(row.budget_flops, text.flops),
            number(row.planned_flops, text.flops),
            number(row.spent_flops, text.flops),
            number(row.ratio, text.six),
            number(row.supervised_per_step, text.general),
            number(row.epochs, text.general),
            number(row.gradient_norm_median, text.general),
            number(row.clipped_fraction, text.general),
            number(row.update_rms_body, text.general),
            Item(row.windows_sha256, row.windows_sha256[:8]),
        )
        for row in inputs.audit.runs
    ]
    return Table(
        name="audit",
        title="Audit of runs",
        caption=(
            "Planned FLOPs are the formulas'; spent ones one real step counted by torch, times the steps executed: two "
            "independent numbers."
        ),
        source="../audit.json",
        columns=(
            Column("run", "run", numeric=False),
            Column("arm", "arm", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("planned_flops", "planned, FLOPs"),
            Column("spent_flops", "spent, FLOPs"),
            Column("ratio", "spent / planned"),
            Column("supervised_per_step", "supervised symbols a step"),
            Column("epochs", "epochs"),
            Column("gradient_norm_median", "median gradient norm"),
            Column("clipped_fraction", "clipped steps"),
            Column("update_rms_body", "update / weight RMS"),
            Column("windows_sha256", "test windows", numeric=False),
        ),
        rows=tuple(rows),
    )


def tuning(inputs: Inputs) -> Table | None:
    """A row a cell whose learning rate and batch were varied: what the rule loses there; None before such an audit."""
    if inputs.audit is None or not inputs.audit.tuning:
        return None
    rows = [
        (
            words(row.arm),
            number(row.budget_flops, text.flops),
            number(row.non_embedding_parameters, text.count),
            number(row.best_rate.value, text.general),
            number(row.best_batch.value, text.general),
            Item(row.bracketed, "yes" if row.bracketed else "no"),
            number(row.seed_log_bpb, text.general),
            *interval(row.lost_bpb, text.bpb),
            *interval(row.lost_compute, text.general),
        )
        for row in inputs.audit.tuning
    ]
    return Table(
        name="tuning",
        title="What the rule loses",
        caption=(
            "Learning rate and batch varied about the rule at each arm's smallest and largest budget; validation BPB. "
            "Best factors are those of the parabola's lowest point; lost compute is along the arm's own frontier."
        ),
        source="../audit.json",
        columns=(
            Column("arm", "arm", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("non_embedding_parameters", "N"),
            Column("best_rate", "best learning rate / rule's"),
            Column("best_batch", "best batch / rule's"),
            Column("bracketed", "bracketed", numeric=False),
            Column("seed_log_bpb", "between seeds, log BPB"),
            Column("lost_bpb", "lost, BPB"),
            Column("lost_bpb_low", "2.5 %"),
            Column("lost_bpb_high", "97.5 %"),
            Column("lost_compute", "lost share of compute"),
            Column("lost_compute_low", "2.5 %"),
            Column("lost_compute_high", "97.5 %"),
        ),
        rows=tuple(rows),
    )
