"""Count the parameters and FLOPs of models and print them, as tables or as JSON. Writes no file.

Reads a study (and its plan.json if there is one), a model's config.json, or a JSON list of shapes.
Only a study needs torch.
"""

from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from bytegap.console import say, show
from bytegap.cost import llama, sequence_cost
from bytegap.cost.flops import DEFAULT, Convention
from bytegap.errors import FlopsError
from bytegap.flops import config
from bytegap.flops.breakdown import Breakdown, Breakdowns, ConventionFlops, breakdown
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import PLAN, StudyDir
from bytegap.study.load import load_study

_ONE_PASS = Convention(passes="one").name
_SUPERVISED = Convention(attention="attended", head="supervised").name
_OBJECTIVES = {"ar": sequence_cost.autoregressive, "mdm": sequence_cost.masked}


def run(path: Path, out: Path, context: int | None, *, as_json: bool) -> None:
    """Print the counts of a study's sizes (.toml) or of a JSON file's models.

    `out` has the folders of studies; `context` replaces the sequence length that a JSON file gives.
    FlopsError or StudyError where the file is wrong.
    """
    if path.suffix == ".toml" and context is not None:
        raise FlopsError(f"--context is not for a study: {path} has [context] of its own; leave --context out")
    found = _of_study(path, out) if path.suffix == ".toml" else _of_json(path, context)
    if as_json:
        print(Breakdowns(breakdowns=tuple(found)).model_dump_json(indent=1))
        return
    show(_parameters(found))
    show(_terms(found))
    show(_conventions(found))
    lengths = sorted({each.seq_len for each in found})
    say(
        "flops",
        f"a sequence is {' or '.join(map(str, lengths))} tokens; AR processes BOS and all tokens but the last, MDM BOS "
        "and all tokens, of which bytegap's own rule, k = ceil(t^2 S) with t uniform, masks a third on average, where "
        "most others mask half; training costs 3 forwards",
    )


def _of_json(path: Path, context: int | None) -> list[Breakdown]:
    return [
        breakdown(each.name, name, llama.parameters(each.model), llama.costs(each.model), cost(each.seq_len))
        for each in config.read_models(path, context)
        for name, cost in _OBJECTIVES.items()
    ]


def _of_study(path: Path, out: Path) -> list[Breakdown]:
    """Each arm's sizes: those of plan.json, or, without one, those that a plan would have."""
    from bytegap.plan import stage

    study = load_study(path)
    study_dir = StudyDir(out / study.name)
    plan = study_dir.find(PLAN) or stage.resolve_plan(study, study_dir)
    first = {(run.arm, run.non_embedding_parameters): run for run in reversed(plan.runs)}
    return [_of_run(first[key]) for key in sorted(first)]


def _of_run(run: RunSpec) -> Breakdown:
    from bytegap.models.base import model_family
    from bytegap.objectives.base import objective

    model = model_family(run.model).config(run.model_shape)
    cost = objective(run.objective, run.objective_options).sequence_cost(run.seq_len)
    name = f"{run.arm}, {model.d_model} x {model.n_layers}"
    return breakdown(name, run.objective, model.parameters(), model.costs(), cost)


def _table(title: str, *headings: str, left: int) -> Table:
    """A table whose first `left` columns are text, the others numbers."""
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < left else "right")
    return table


def _parameters(found: list[Breakdown]) -> Table:
    table = _table("Parameters", "model", "embedding", "head", "non-embedding", "total", left=1)
    for name, groups in dict.fromkeys((each.model, each.parameters) for each in found):
        parts = (groups.embedding, groups.head, groups.non_embedding, groups.total)
        table.add_row(name, *(f"{part:,}" for part in parts))
    return table


def _terms(found: list[Breakdown]) -> Table:
    """FLOPs of a forward by term."""
    headings = [name for each in found for name in each.flops[0].forward_terms_flops_per_token]
    names = [name for name in dict.fromkeys(headings) if name not in {"attention", "head"}]
    title = "Forward FLOPs a token, by term; attention full or attended, head at all positions or the supervised"
    ends = ("attention, full", "attention, attended", "head, all", "head, supervised")
    table = _table(title, "model", "objective", *names, *ends, left=2)
    for each in found:
        full = each.under(DEFAULT.name).forward_terms_flops_per_token
        least = each.under(_SUPERVISED).forward_terms_flops_per_token
        values = [full.get(name, 0.0) for name in names]
        values += [full["attention"], least["attention"], full["head"], least["head"]]
        table.add_row(each.model, each.objective, *map(_number, values))
    return table


def _conventions(found: list[Breakdown]) -> Table:
    """FLOPs under each convention; `passes=one` only where it differs from the default."""
    names = [each.convention for each in found[0].flops]
    if all(
        each.under(_ONE_PASS).training_flops_per_token == each.under(DEFAULT.name).training_flops_per_token
        for each in found
    ):
        names.remove(_ONE_PASS)
    short = [name.replace("attention=", "").replace("head=", "") for name in names]
    table = _table("FLOPs under each convention, attention x head", "model", "objective", "FLOPs", *short, left=3)
    for each in found:
        for what, value in _LINES.items():
            table.add_row(each.model, each.objective, what, *(_number(value(each.under(name))) for name in names))
    return table


_LINES: dict[str, Callable[[ConventionFlops], float]] = {
    "forward/token": lambda flops: flops.forward_flops_per_token,
    "train/token": lambda flops: flops.training_flops_per_token,
    "train/sequence": lambda flops: flops.training_flops_per_sequence,
}
"""Lines of each model in the table of conventions."""


def _number(value: float) -> str:
    """Four figures, as 1.234e+09; small numbers without an exponent."""
    return f"{value:,.0f}" if value < 1e5 else f"{value:.4g}"
