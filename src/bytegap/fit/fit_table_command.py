"""The verb `fit-table`: reads a CSV of runs, prints its fit as JSON or as tables."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bytegap import console
from bytegap.errors import FitError
from bytegap.fit import read_table
from bytegap.fit.fit_table import BOOTSTRAPS, fit_table
from bytegap.fit.table_schema import ArmsFit, TableFit
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
    json: bool = False


def run(path: Path, options: Options) -> TableFit | ArmsFit:
    """Fit the table at `path` and print the result; FitError for every mistake in the table or the options."""
    for flag, value, least in (
        ("--drop-worst", options.drop_worst, 0),
        ("--bootstraps", options.bootstraps, LEAST_BOOTSTRAPS),
        ("--seed", options.seed, 0),
    ):
        if value < least:
            raise FitError(f"{flag} {value}: it must be at least {least}")
    rows = read_table.read(path, read_table.parse_columns(options.columns), options.convention)
    fit = fit_table(rows, options.bootstraps, options.seed, options.drop_worst)
    if options.json:
        print(fit.model_dump_json(indent=2))
    else:
        _show(fit)
    return fit


def _show(fit: TableFit | ArmsFit) -> None:
    if isinstance(fit, TableFit):
        _show_arm(fit, "")
        return
    for name, own in fit.arms.items():
        _show_arm(own, f"{name}: ")
    if fit.separate_laws:
        console.show(_nested_table(fit.separate_laws))
    for warning in fit.warnings:
        console.warn("fit", warning)


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
