"""The grid of one arm at one budget: which sizes, how many steps each, and every number of the run."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from math import log
from types import ModuleType
from typing import Any

from bytegap import plugins
from bytegap.accounting.flops import SIX_ND, Convention, conventions, six_nd, training_flops
from bytegap.accounting.rows import Row
from bytegap.errors import PlanError, StudyError
from bytegap.objectives._base import Vocabulary, told
from bytegap.plan import rules
from bytegap.records import Numerics, RunSpec, TokensManifest, WindowsManifest, digest
from bytegap.study import Arm, Study

FLOPS_TOLERANCE = 0.01
_LEAST_STEPS = 50  # fewer cannot match a budget within 1 %, nor train anything


@dataclass(frozen=True)
class Setting:
    """What all runs of one arm share."""

    study: Study
    arm_name: str
    arm: Arm
    tokens: TokensManifest
    windows: WindowsManifest
    numerics: Numerics
    told: TokensManifest | None = None
    """The symbol set that the objective is told of, if it is."""

    @property
    def tokens_content(self) -> str:
        """Of the symbols, and of what else the objective is told."""
        own = self.tokens.content
        return digest([own, self.told.content]) if self.told else own

    @property
    def row_symbols(self) -> int:
        """S, symbols a training row."""
        return self.windows.row_symbols[self.arm.tokens]

    @property
    def objective(self) -> ModuleType:
        """The objective's module."""
        return plugins.load("objectives", self.arm.objective.name)

    @property
    def row(self) -> Row:
        """What a training row asks of a model."""
        options = plugins.options("objectives", self.arm.objective.name, self.arm.objective.options)
        return self.objective.row(self.row_symbols, options)

    @property
    def model(self) -> ModuleType:
        """The architecture's module."""
        return plugins.load("models", self.arm.model.name)

    def shapes(self) -> Iterator[Any]:
        """The ladder of shapes for this arm."""
        return self.model.ladder(
            vocabulary=Vocabulary(self.tokens.vocabulary).ids,
            positions=self.row_symbols + 1,
            aims=getattr(self.objective, "AIMS", False),
        )


def check(setting: Setting) -> None:
    """StudyError where the arm's objective or order cannot be had with its symbols, or with rows of so many."""
    for kind, plugin in (("objectives", setting.arm.objective), ("orders", setting.arm.order)):
        module = plugins.load(kind, plugin.name)
        where = f"[arms.{setting.arm_name}] {kind[:-1]} '{plugin.name}'"
        if getattr(module, "BYTES_ONLY", False) and setting.tokens.kind != "bytes":
            message = f"{where} is for bytes alone, and '{setting.arm.tokens}' are none"
            raise StudyError(message)
        if kind == "objectives" and (name := told(module, plugin.options)):
            if setting.told is None or setting.told.kind == "bytes":
                message = f"{where}: '{name}' is no symbol set that has tokens: name one of [tokens] that is not bytes"
                raise StudyError(message)
            if setting.arm.order.name != "identity":
                message = f"{where}: tokens have no places in an order of '{setting.arm.order.name}': leave order out"
                raise StudyError(message)
        if hasattr(module, "check"):
            try:
                module.check(setting.row_symbols, plugins.options(kind, plugin.name, plugin.options))
            except StudyError as error:
                message = f"{where}: {error}"
                raise StudyError(message) from None


def cell(setting: Setting, budget_flops: float) -> list[RunSpec]:
    """A budget's first grid: `sizes` rungs, `spacing` apart, centred (in log N) on the expected optimum."""
    sizes, spacing = setting.study.grid.sizes, setting.study.grid.spacing
    centre = rules.expected_optimum(setting.arm.optimum, budget_flops)
    rungs = list(takewhile(lambda shape: fitting(setting, shape, budget_flops), setting.shapes()))
    span = (sizes - 1) * spacing + 1
    if len(rungs) < span:
        message = (
            f"[arms.{setting.arm_name}] budgets: {budget_flops:g} FLOPs is too small: {len(rungs)} sizes can be "
            f"trained for at least {_LEAST_STEPS} steps within it, {span} are needed: raise the budget"
        )
        raise PlanError(message)
    offsets = [abs(log(_size(setting, shape) / centre)) for shape in rungs]
    starts = range(len(rungs) - span + 1)
    start = min(starts, key=lambda first: max(offsets[first], offsets[first + span - 1]))
    return [
        spec(setting, shape, budget_flops, seed)
        for shape in rungs[start : start + span : spacing]
        for seed in seeds(setting, budget_flops)
    ]


def seeds(setting: Setting, budget_flops: float) -> range:
    """One a replicate: more at the ends of an arm's ladder of budgets, where the study asks for that."""
    grid, first = setting.study.grid, setting.study.seed
    at_an_end = budget_flops in {min(setting.arm.budgets), max(setting.arm.budgets)}
    return range(first, first + (max(grid.seeds, grid.end_seeds) if at_an_end else grid.seeds))


def fitting(setting: Setting, shape: Any, budget_flops: float, batch: float = 1.0) -> bool:
    """Whether the budget buys at least the fewest steps of this size."""
    rows = _rows_per_batch(setting, shape, budget_flops, batch)
    return budget_flops / (rows * _row_flops(setting, shape)) >= _LEAST_STEPS


def spec(  # noqa: PLR0913, PLR0917 - a run is fixed by this much
    setting: Setting, shape: Any, budget_flops: float, seed: int, rate: float = 1.0, batch: float = 1.0
) -> RunSpec:
    """Resolve one run: the whole steps whose FLOPs come nearest to the budget.

    `rate` and `batch` are factors on what the rules say; only the tuning audit has any.
    """
    parameters = setting.model.parameters(shape)
    rows = _rows_per_batch(setting, shape, budget_flops, batch)
    steps = round(budget_flops / (rows * _row_flops(setting, shape)))
    symbols = steps * rows * setting.row_symbols
    planned = {convention.name: steps * rows * _row_flops(setting, shape, convention) for convention in conventions()}
    planned[SIX_ND] = six_nd(parameters.non_embedding, symbols)
    flops = planned[Convention().name]
    assert abs(flops / budget_flops - 1) <= FLOPS_TOLERANCE, "budget matched within 1 %"
    return RunSpec(
        arm=setting.arm_name,
        tokens=setting.arm.tokens,
        objective=setting.arm.objective.name,
        objective_options=setting.arm.objective.options,
        order=setting.arm.order.name,
        order_options=setting.arm.order.options,
        model=setting.arm.model.name,
        shape=shape.model_dump(),
        embedding_parameters=parameters.embedding,
        head_parameters=parameters.head,
        non_embedding_parameters=parameters.non_embedding,
        budget_flops=budget_flops,
        row_symbols=setting.row_symbols,
        rows_per_batch=rows,
        steps=steps,
        symbols=symbols,
        bytes=round(symbols * setting.tokens.bytes_per_symbol),
        epochs=symbols / setting.tokens.symbols,
        flops=flops,
        flops_by_convention=planned,
        optimiser=rules.optimiser(parameters.non_embedding, steps, rate),
        seed=seed,
        evaluation_passes=setting.study.grid.evaluation_passes,
        numerics=setting.numerics,
        tokens_content=setting.tokens_content,
        windows_content=setting.windows.content,
    )


def _size(setting: Setting, shape: Any) -> int:
    return setting.model.parameters(shape).non_embedding


def _rows_per_batch(setting: Setting, shape: Any, budget_flops: float, batch: float) -> int:
    symbols = setting.row_symbols * budget_flops / _row_flops(setting, shape)
    share = setting.row.supervised / setting.row_symbols
    return max(1, round(batch * rules.batch_symbols(symbols, share) / setting.row_symbols))


def _row_flops(setting: Setting, shape: Any, convention: Convention | None = None) -> float:
    return training_flops(setting.model.costs(shape), setting.row, convention or Convention())
