"""`bytegap fit --table`: reads a CSV, prints its answers, as JSON or as tables to read."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bytegap import console
from bytegap.errors import FitError
from bytegap.fit import table
from bytegap.fit.of_table import fit_table
from bytegap.fit.table_records import ArmsFit, TableFit
from bytegap.records import Quantity, SeparateLaws

LEAST_BOOTSTRAPS = 40
"""Fewer have no 2.5 % tail."""


@dataclass(frozen=True)
class Options:
    """The flags beside --table."""

    columns: str = ""
    convention: str | None = None
    drop_worst: int = 0
    bootstraps: int = 4000
    seed: int = 0
    json: bool = False


def run(path: Path, options: Options) -> TableFit | ArmsFit:
    """Fit the table at `path` and print what it says; FitError for every mistake in it or in what is asked."""
    for flag, value, least in (
        ("--drop-worst", options.drop_worst, 0),
        ("--bootstraps", options.bootstraps, LEAST_BOOTSTRAPS),
        ("--seed", options.seed, 0),
    ):
        if value < least:
            message = f"{flag} {value}: it must be at least {least}"
            raise FitError(message)
    rows = table.read(path, table.parse_columns(options.columns), options.convention)
    fit = fit_table(rows, options.bootstraps, options.seed, options.drop_worst)
    if options.json:
        print(fit.model_dump_json(indent=2))
    else:
        _show(fit)
    return fit


def _show(fit: TableFit | ArmsFit) -> None:
    if isinstance(fit, TableFit):
        _show_one(fit, "")
        return
    for name, own in fit.arms.items():
        _show_one(own, f"{name}: ")
    if fit.separate_laws:
        console.show(_nested(fit.separate_laws))
    for warning in fit.warnings:
        console.say("fit", warning)


def _show_one(fit: TableFit, who: str) -> None:
    law = Table(
        "constant", "value", "95 % interval", title=f"{who}L = E + A / N^alpha + B / D^beta, {fit.chinchilla.rows} rows"
    )
    for name in ("E", "A", "B", "alpha", "beta"):
        law.add_row(name, *_both(getattr(fit.chinchilla, name)))
    law.add_row("N_opt rises as C^", *_both(fit.optimal.N_exponent))
    law.add_row("D_opt rises as C^", *_both(fit.optimal.D_exponent))
    if fit.optimal.isoflop:
        law.add_row("N_opt by IsoFLOP, C^", *_both(fit.optimal.isoflop.N_exponent))
        law.add_row("D_opt by IsoFLOP, C^", *_both(fit.optimal.isoflop.D_exponent))
    console.show(law)
    if fit.isoflop:
        cells = Table(
            "budget", "runs", "optimum params", "95 % interval", "tokens", "loss", "note", title=f"{who}IsoFLOP minima"
        )
        for cell in fit.isoflop:
            cells.add_row(
                f"{cell.budget:.3g}",
                str(cell.runs),
                *_both(cell.optimum_params),
                _both(cell.optimum_tokens)[0],
                _both(cell.optimum_loss)[0],
                cell.note,
            )
        console.show(cells)
    if fit.frontier:
        title = f"{who}L(C) = E + A C^-g by the {fit.frontier.source}, {fit.frontier.form}"
        frontier = Table("constant", "value", "95 % interval", title=title)
        for name, item in (("E", fit.frontier.floor), ("A", fit.frontier.amplitude), ("g", fit.frontier.exponent)):
            frontier.add_row(name, *_both(item))
        console.show(frontier)
    for warning in fit.warnings:
        console.say("fit", warning)


def _nested(test: SeparateLaws) -> Table:
    table = Table(
        "exponent shared by",
        "exponents",
        "chi-square",
        "freedom",
        "p",
        title=f"Are separate laws needed? {test.form}; shared by {test.simplest} is enough",
    )
    for model in test.models:
        p_value = "" if model.p_value is None else f"{model.p_value:.3g}"
        table.add_row(model.shared_by, str(model.exponents), f"{model.chi_square:.3g}", str(model.freedom), p_value)
    return table


def _both(item: Quantity) -> tuple[str, str]:
    value = "-" if item.value is None else f"{item.value:.4g}"
    return value, "-" if item.ci95 is None else f"{item.ci95[0]:.4g} to {item.ci95[1]:.4g}"
