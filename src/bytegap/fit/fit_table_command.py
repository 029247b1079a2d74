"""The verb `fit-table`: reads a CSV of runs, prints its fit as JSON or as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bytegap import console
from bytegap.errors import FitError
from bytegap.fit import read_table
from bytegap.fit.fit_table import BOOTSTRAPS, FittedTable, fit_table
from bytegap.fit.table_pairs import parse_pair
from bytegap.fit.table_schema import ArmsFit, LabelledValue, TableFit, TablePair
from bytegap.schema.base import Quantity
from bytegap.schema.frontier import SeparateLaws

LEAST_BOOTSTRAPS = 40
"""Fewer draws have no 2.5 % tail."""


@dataclass(frozen=True)
class Options:
    """Options of the verb."""

    columns: str = ""
    """Other names of columns, as `read_table.parse_columns` reads them."""
    convention: str | None = None
    """`6nd`: compute a missing one of flops, params and tokens by C = 6 N D."""
    drop_worst: int = 0
    bootstraps: int = BOOTSTRAPS
    seed: int = 0
    pair: Sequence[str] = ()
    """Arms to compare, each as `table_pairs.parse_pair` reads it."""
    json: bool = False


def run(path: Path, options: Options) -> FittedTable:
    """Fit the table at `path` and print the result; FitError for every mistake in the table or the options."""
    for flag, value, least in (
        ("--drop-worst", options.drop_worst, 0),
        ("--bootstraps", options.bootstraps, LEAST_BOOTSTRAPS),
        ("--seed", options.seed, 0),
    ):
        if value < least:
            raise FitError(f"{flag} {value}: it must be at least {least}")
    rows = read_table.read(path, read_table.parse_columns(options.columns), options.convention)
    pairs = [parse_pair(text) for text in options.pair]
    table = fit_table(rows, options.bootstraps, options.seed, options.drop_worst, pairs)
    if options.json:
        print(table.fit.model_dump_json(indent=2))
    else:
        _show(table.fit)
    return table


def _show(fit: TableFit | ArmsFit) -> None:
    if isinstance(fit, TableFit):
        _show_arm(fit, "")
        return
    for name, own in fit.arms.items():
        _show_arm(own, f"{name}: ")
    if fit.separate_laws:
        console.show(_nested_table(fit.separate_laws))
    for pair in fit.pairs:
        _show_pair(pair)
    for interaction in fit.interactions:
        names = [" / ".join(pair) for pair in (interaction.first, interaction.second)]
        title = f"ln k of {names[0]} less ln k of {names[1]}"
        console.show(_comparison_table(title, [("interaction", each) for each in interaction.values]))
    for warning in fit.warnings:
        console.warn("fit", warning)


def _show_pair(pair: TablePair) -> None:
    rows = [("k, ratio of compute at equal loss", each) for each in pair.overhead]
    rows += [("gap in loss at equal compute", each) for each in pair.gap]
    rows += [("slope, d ln k / d ln C", pair.slope)] if pair.slope else []
    rows += [("parity, compute", pair.parity)] if pair.parity else []
    console.show(_comparison_table(f"{pair.bytes} over {pair.bpe}", rows))
    if pair.note:
        console.warn("fit", f"{pair.bytes} over {pair.bpe}: {pair.note}")


def _comparison_table(title: str, rows: Sequence[tuple[str, LabelledValue]]) -> Table:
    table = Table("what", "at", "value", "95 % interval", "label", title=title)
    for what, each in rows:
        at = "" if each.at_loss is None else f"loss {each.at_loss:.4g}"
        at = at or ("" if each.at_flops is None else f"{each.at_flops:.3g} FLOPs")
        ends = "-" if each.ci95 is None else f"{each.ci95[0]:.4g} to {each.ci95[1]:.4g}"
        table.add_row(what, at, f"{each.bound} {each.value:.4g}".strip(), ends, each.label)
    return table


def _show_arm(fit: TableFit, prefix: str) -> None:
    console.show(_law_table(fit, prefix))
    if fit.isoflop:
        console.show(_isoflop_table(fit, prefix))
    if fit.frontier:
        title = f"{prefix}L(C) = E + A C^-g by the {fit.frontier.source}, {fit.frontier.form}"
        frontier = Table("constant", "value", "95 % interval", title=title)
        frontier.add_row("E", *_value_and_interval(fit.frontier.irreducible_loss))
        frontier.add_row("A", *_value_and_interval(fit.frontier.amplitude))
        frontier.add_row("g", *_value_and_interval(fit.frontier.exponent))
        console.show(frontier)
    for warning in fit.warnings:
        console.warn("fit", f"{prefix}{warning}")


def _law_table(fit: TableFit, prefix: str) -> Table:
    law = fit.chinchilla
    title = f"{prefix}L = E + A / N^alpha + B / D^beta, {law.rows} rows"
    table = Table("constant", "value", "95 % interval", title=title)
    for name, item in (("E", law.E), ("A", law.A), ("B", law.B), ("alpha", law.alpha), ("beta", law.beta)):
        table.add_row(name, *_value_and_interval(item))
    table.add_row("N_opt ~ C^", *_value_and_interval(fit.optimal.N_exponent))
    table.add_row("D_opt ~ C^", *_value_and_interval(fit.optimal.D_exponent))
    if fit.optimal.isoflop:
        table.add_row("N_opt by IsoFLOP ~ C^", *_value_and_interval(fit.optimal.isoflop.N_exponent))
        table.add_row("D_opt by IsoFLOP ~ C^", *_value_and_interval(fit.optimal.isoflop.D_exponent))
    return table


def _isoflop_table(fit: TableFit, prefix: str) -> Table:
    headings = ("budget", "runs", "optimum params", "95 % interval", "tokens", "loss", "note")
    table = Table(*headings, title=f"{prefix}IsoFLOP minima")
    for cell in fit.isoflop:
        table.add_row(
            f"{cell.budget:.3g}",
            str(cell.runs),
            *_value_and_interval(cell.optimum_params),
            _value_and_interval(cell.optimum_tokens)[0],
            _value_and_interval(cell.optimum_loss)[0],
            cell.note,
        )
    return table


def _nested_table(test: SeparateLaws) -> Table:
    title = f"Are separate laws needed? {test.form}; simplest model not rejected: shared by {test.simplest}"
    table = Table("exponent shared by", "exponents", "chi-square", "dof", "p", title=title)
    for model in test.models:
        p_value = "" if model.p_value is None else f"{model.p_value:.3g}"
        table.add_row(model.shared_by, str(model.exponents), f"{model.chi_square:.3g}", str(model.dof), p_value)
    return table


def _value_and_interval(item: Quantity) -> tuple[str, str]:
    value = "-" if item.value is None else f"{item.value:.4g}"
    return value, "-" if item.ci95 is None else f"{item.ci95[0]:.4g} to {item.ci95[1]:.4g}"
