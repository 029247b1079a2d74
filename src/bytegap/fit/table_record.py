"""A fitted table as the record of a study's fit, from which its figures are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from bytegap.fit.fit_table import FittedTable
from bytegap.fit.table_schema import ArmsFit, LabelledValue, TableFit
from bytegap.schema.base import FrozenDict, digest
from bytegap.schema.fit import Fit

ONLY_ARM = "runs"
"""Name of the arm of a table that has none."""


@dataclass(frozen=True)
class TableArm:
    """What decides how an arm is drawn."""

    name: str
    tokenizer: str
    objective: str
    is_bytes: bool


@dataclass(frozen=True)
class TableRecord:
    """A table's fit in the form of a study's."""

    fit: Fit
    arms: tuple[TableArm, ...]


def table_record(table: FittedTable, bootstraps: int) -> TableRecord:
    """The record; its losses are in the table's unit, wherever names say BPB."""
    arms, frontiers, estimands = table.compared.arms, table.compared.frontiers, table.compared.estimands
    cells = tuple(cell.model_copy(update={"arm": cell.arm or ONLY_ARM}) for arm in table.arms for cell in arm.cells)
    fit = Fit(
        inputs_sha256=digest([cell.model_dump(mode="json") for cell in cells]),
        convention="as the table counts",
        bootstraps=bootstraps,
        noise_log_bpb=FrozenDict(),
        ngram_baselines=(),
        cells=cells,
        frontiers=tuple(
            record.model_copy(update={"arm": record.arm or ONLY_ARM})
            for record in (frontier.record for frontier in frontiers)
        ),
        estimands=tuple(estimands),
        identified=any(estimand.headline and estimand.label == "estimated" for estimand in estimands),
        verdict=tuple(_sentences(table.fit)),
        warnings=tuple(_warnings(table.fit)),
    )
    drawn = tuple(
        TableArm(arm.name or ONLY_ARM, arm.tokenizer or arm.name, arm.objective or arm.name, arm.is_bytes)
        for arm in arms
    )
    return TableRecord(fit, drawn)


def _sentences(fit: TableFit | ArmsFit) -> list[str]:
    """What the pairs show, or what the exponents of the arms are."""
    if isinstance(fit, ArmsFit) and fit.pairs:
        found = [_about_pair(f"{pair.bytes} over {pair.bpe}", pair.overhead, pair.note) for pair in fit.pairs]
        for both in fit.interactions:
            names = " less ln k of ".join(" over ".join(pair) for pair in (both.first, both.second))
            found.append(_headline(f"ln k of {names}", both.values))
        return found
    arms = fit.arms.items() if isinstance(fit, ArmsFit) else [(ONLY_ARM, fit)]
    return [f"{name}: {_about_exponent(own)}." for name, own in arms]


def _about_exponent(fit: TableFit) -> str:
    exponent = fit.frontier.exponent if fit.frontier else None
    if exponent is None or exponent.value is None:
        return "no frontier is identified"
    return f"L(C) falls with the exponent {exponent.value:.3g}{_interval(exponent.ci95)}"


def _about_pair(names: str, overhead: Sequence[LabelledValue], note: str) -> str:
    sentence = _headline(f"Compute of {names}, k", overhead)
    return f"{sentence[:-1]}: {note}." if note else sentence


def _headline(what: str, values: Sequence[LabelledValue]) -> str:
    each = next((value for value in values if value.headline), None)
    if each is None:
        return f"{what}: not identified."
    at = "" if each.at_loss is None else f" at a loss of {each.at_loss:.4g}"
    if each.bound:
        return f"{what}: {'above' if each.bound == '>' else 'below'} {each.value:.3g}{at} (a bound)."
    return f"{what}: {each.value:.3g}{_interval(each.ci95)}{at}."


def _interval(ci95: tuple[float, float] | None) -> str:
    return "" if ci95 is None else f" (95 % interval {ci95[0]:.3g} to {ci95[1]:.3g})"


def _warnings(fit: TableFit | ArmsFit) -> list[str]:
    if isinstance(fit, TableFit):
        return list(fit.warnings)
    return [*fit.warnings, *(f"{name}: {warning}" for name, own in fit.arms.items() for warning in own.warnings)]
