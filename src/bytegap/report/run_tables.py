"""Tables of single runs: what each was and reached, and the audit of plan against record."""

from bytegap.report import text
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, number, words


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
