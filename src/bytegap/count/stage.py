"""Count what a file names and show it: as tables, or as one JSON document. Writes no file.

A study needs its plan's machinery and with it torch; a config or a list of shapes does not.
"""

from pathlib import Path

from rich.table import Table

from bytegap import store, study
from bytegap.accounting import llama, rows
from bytegap.accounting.flops import Convention
from bytegap.console import say, show
from bytegap.count import config
from bytegap.count.counts import Count, Counts, Flops, count
from bytegap.errors import CountError
from bytegap.records import Plan, RunSpec

_ONE_PASS = Convention(passes="one").name
_ROWS = {"ar": rows.autoregressive, "mdm": rows.masked}


def run(path: Path, out: Path, context: int | None, *, as_json: bool) -> None:
    """Print the counts of a study's sizes (.toml) or of a JSON file's models; CountError and StudyError name mends."""
    if path.suffix == ".toml" and context is not None:
        message = f"--context is not for a study: {path} has [context] bytes of its own"
        raise CountError(message)
    found = _of_study(path, out) if path.suffix == ".toml" else _of_json(path, context)
    if as_json:
        print(Counts(counts=found).model_dump_json(indent=1))
        return
    show(_parameters(found))
    show(_terms(found))
    show(_conventions(found))
    contexts = sorted({each.row_symbols for each in found})
    say(
        "count",
        f"a row is {' or '.join(map(str, contexts))} symbols; AR runs BOS and all but the last, MDM BOS and all, of "
        "which it answers a third on average; training is 3 forwards",
    )


def _of_json(path: Path, context: int | None) -> list[Count]:
    return [
        count(name, objective, llama.parameters(model), llama.costs(model), row(symbols))
        for name, model, symbols in config.read(path, context)
        for objective, row in _ROWS.items()
    ]


def _of_study(path: Path, out: Path) -> list[Count]:
    """Each arm's sizes, once each: of plan.json where there is one, else those that a plan would have."""
    from bytegap.plan import stage

    loaded = study.load(path)
    folder = store.Folder(out / loaded.name)
    plan = store.read_record(folder.plan, Plan, "plan") if folder.plan.exists() else stage.resolve(loaded, folder)
    first = {(spec.arm, spec.non_embedding_parameters): spec for spec in reversed(plan.runs)}
    return [_of_run(first[key]) for key in sorted(first)]


def _of_run(spec: RunSpec) -> Count:
    from bytegap import plugins

    module = plugins.load("models", spec.model)
    objective = plugins.load("objectives", spec.objective)
    options = plugins.options("objectives", spec.objective, spec.objective_options)
    shape = module.Shape(**spec.shape)
    row = objective.row(spec.row_symbols, options)
    name = f"{spec.arm}, {spec.shape.get('width', '')} x {spec.shape.get('depth', '')}"
    return count(name, spec.objective, module.parameters(shape), module.costs(shape), row)


def _table(title: str, *headings: str, left: int) -> Table:
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < left else "right")
    return table


def _parameters(found: list[Count]) -> Table:
    table = _table("Parameters", "model", "embedding", "head", "non-embedding", "total", left=1)
    for name, groups in dict.fromkeys((each.model, each.parameters) for each in found):
        parts = (groups.embedding, groups.head, groups.non_embedding, groups.total)
        table.add_row(name, *(f"{part:,}" for part in parts))
    return table


def _terms(found: list[Count]) -> Table:
    """What a forward multiplies, term by term; a head that is not counted is 0."""
    headings = [name for each in found for name in each.flops[0].forward_terms_flops_per_symbol]
    names = [name for name in dict.fromkeys(headings) if name not in {"attention", "head"}]
    title = "Forward FLOPs a symbol, by term; maps full or attended, head at all positions or the supervised"
    ends = ("map, full", "map, attended", "head, all", "head, supervised")
    table = _table(title, "model", "objective", *names, *ends, left=2)
    for each in found:
        full, attended = (
            _terms_of(each, "attention=full head=all"),
            _terms_of(each, "attention=attended head=supervised"),
        )
        values = [full.get(name, 0.0) for name in names]
        values += [full["attention"], attended["attention"], full["head"], attended["head"]]
        table.add_row(each.model, each.objective, *map(_number, values))
    return table


def _terms_of(one: Count, convention: str) -> dict[str, float]:
    (found,) = [each for each in one.flops if each.convention == convention]
    return found.forward_terms_flops_per_symbol


def _conventions(found: list[Count]) -> Table:
    names = [each.convention for each in found[0].flops]
    if all(_training(each.flops[0]) == _training(each.flops[names.index(_ONE_PASS)]) for each in found):
        names.remove(_ONE_PASS)
    short = [name.replace("attention=", "").replace("head=", "") for name in names]
    table = _table("FLOPs under each convention, attention x head", "model", "objective", "of", *short, left=3)
    for each in found:
        for what, value in _LINES.items():
            shown = [one for one in each.flops if one.convention in names]
            table.add_row(each.model, each.objective, what, *(_number(value(one)) for one in shown))
    return table


def _forward(one: Flops) -> float:
    return one.forward_flops_per_symbol


def _training(one: Flops) -> float:
    return one.training_flops_per_symbol


def _row(one: Flops) -> float:
    return one.training_flops_per_row


_LINES = {"forward, a symbol": _forward, "training, a symbol": _training, "training, a row": _row}


def _number(value: float) -> str:
    """Four figures, as 1.234e+09; small whole numbers as they are."""
    return f"{value:,.0f}" if value < 1e5 else f"{value:.4g}"
