"""Anybody's table of runs: a CSV with a header, read with every mistake named by its row and column.

Columns `flops`, `params`, `tokens` (two of them do under C = 6 N D) and `loss`; optionally `arm`,
`budget`, `loss_se`, and, beside `arm`, `objective` and `symbol_set`. Others are ignored.
Rows are numbered as a spreadsheet numbers them: the header is row 1.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bytegap.errors import FitError, nearest
from bytegap.laws import FLOPS_PER_PARAMETER_AND_SYMBOL

COUNTS = ("flops", "params", "tokens")
NUMBERS = (*COUNTS, "loss", "budget", "loss_se")
WORDS = ("arm", "objective", "symbol_set")
COLUMNS = (*NUMBERS, *WORDS)
CONVENTIONS = ("6nd",)
LEAST_ROWS = 6
"""One more than the Chinchilla law has parameters."""


@dataclass(frozen=True)
class Row:
    """One run. Sizes and compute are as the table counts them, the loss in the table's own unit."""

    row: int
    arm: str
    params: float
    tokens: float
    flops: float
    loss: float
    loss_se: float
    budget: float | None
    objective: str
    symbol_set: str


def read(path: Path, columns: Mapping[str, str], convention: str | None) -> list[Row]:
    """The table's rows, in order; `columns` renames ours to the file's.

    FitError where the file is no table, a column is missing or a cell is not a number that a run can have.
    """
    header, lines = _lines(path)
    at = _columns(path, header, columns, convention)
    rows = [_row(path, number, cells, header, at) for number, cells in lines]
    if not rows:
        message = f"{path}: there is no row below the header: add one a run"
        raise FitError(message)
    return rows


def parse_columns(text: str) -> dict[str, str]:
    """`params=Model Size,loss=loss` as a mapping; FitError where it is not that or names no column of ours."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, equals, theirs = (each.strip() for each in part.partition("="))
        if not equals or not theirs:
            message = f"--columns: '{part}' is not OURS=THEIRS, as in 'params=Model Size'"
            raise FitError(message)
        if ours not in COLUMNS:
            message = f"--columns: there is no column '{ours}' to name: {nearest(ours, COLUMNS)}"
            raise FitError(message)
        if ours in found:
            message = f"--columns: '{ours}' is named twice: keep one of them"
            raise FitError(message)
        found[ours] = theirs
    return found


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """(header, (row number, cells) of every line that is not blank)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file, strict=True)]
    except FileNotFoundError:
        message = f"{path}: no such table; name a CSV file with a header"
        raise FitError(message) from None
    except IsADirectoryError:
        message = f"{path} is a folder; name the CSV file in it"
        raise FitError(message) from None
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: not a CSV file ({error}): save it as comma-separated UTF-8 text"
        raise FitError(message) from None
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}): name a CSV file"
        raise FitError(message) from None
    filled = [(number, cells) for number, cells in enumerate(lines, start=1) if any(cells)]
    if not filled:
        message = f"{path}: the file is empty; it needs a header such as 'params,tokens,flops,loss'"
        raise FitError(message)
    (first, header), *rest = filled
    if len(header) < 2:
        message = f"{path}, row {first}: not a comma-separated header ('{header[0][:40]}'): separate columns by commas"
        raise FitError(message)
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        message = f"{path}, row {first}: column '{twice[0]}' is there twice: rename one of them"
        raise FitError(message)
    return header, rest


def _columns(path: Path, header: list[str], columns: Mapping[str, str], convention: str | None) -> dict[str, int]:
    """Where each column that is there stands; FitError where one that is needed is not."""
    for ours, theirs in columns.items():
        if theirs not in header:
            message = f"{path}: there is no column '{theirs}' to be '{ours}': {nearest(theirs, filter(None, header))}"
            raise FitError(message)
    if twice := sorted({theirs for theirs in columns.values() if list(columns.values()).count(theirs) > 1}):
        message = f"--columns: '{twice[0]}' is named for two columns: it can be one of them"
        raise FitError(message)
    names = {ours: columns.get(ours, ours) for ours in COLUMNS}
    names = {ours: theirs for ours, theirs in names.items() if ours in columns or theirs not in columns.values()}
    at = {ours: header.index(theirs) for ours, theirs in names.items() if theirs in header}
    if "loss" not in at:
        _missing(path, "loss", header, at)
    absent = [name for name in COUNTS if name not in at]
    if len(absent) > 1:
        _missing(path, absent[0], header, at)
    if absent and convention is None:
        message = (
            f"{path}: there is no column '{absent[0]}' ({nearest(absent[0], filter(None, header))}): name it with "
            f"--columns '{absent[0]}=...', or let it follow from C = 6 N D with --convention 6nd"
        )
        raise FitError(message)
    return at


def _missing(path: Path, name: str, header: list[str], at: Mapping[str, int]) -> None:
    free = [each for index, each in enumerate(header) if each and index not in at.values()]
    message = (
        f"{path}: there is no column '{name}' ({nearest(name, free)}): name it with --columns '{name}=...'; "
        "a table needs 'loss' and two of 'flops', 'params', 'tokens'"
    )
    raise FitError(message)


def _row(path: Path, number: int, cells: Sequence[str], header: list[str], at: Mapping[str, int]) -> Row:
    if len(cells) > len(header):
        message = (
            f"{path}, row {number}: {len(cells)} cells under {len(header)} columns: quote cells that hold commas, and "
            "write numbers without thousands separators"
        )
        raise FitError(message)
    given = {
        name: _number(path, number, header[index], cells[index] if index < len(cells) else "", name)
        for name, index in at.items()
        if name in NUMBERS
    }
    words = {name: cells[at[name]] if name in at and at[name] < len(cells) else "" for name in WORDS}
    if "arm" in at and not words["arm"]:
        message = f"{path}, row {number}, column '{header[at['arm']]}': empty: name the run's arm"
        raise FitError(message)
    flops, params, tokens = (given.get(name) for name in COUNTS)
    if flops is None:
        assert params is not None
        assert tokens is not None
        flops = FLOPS_PER_PARAMETER_AND_SYMBOL * params * tokens
    elif params is None:
        assert tokens is not None
        params = flops / FLOPS_PER_PARAMETER_AND_SYMBOL / tokens
    elif tokens is None:
        tokens = flops / FLOPS_PER_PARAMETER_AND_SYMBOL / params
    if not all(math.isfinite(each) and each > 0 for each in (flops, params, tokens)):
        message = f"{path}, row {number}: what follows from C = 6 N D is no number: check the row's units"
        raise FitError(message)
    return Row(
        row=number,
        params=params,
        tokens=tokens,
        flops=flops,
        loss=given["loss"],
        loss_se=given.get("loss_se", 0.0),
        budget=given.get("budget"),
        **words,
    )


def _number(path: Path, number: int, column: str, cell: str, name: str) -> float:
    """A finite number above 0; a standard error may be 0, or left empty."""
    where = f"{path}, row {number}, column '{column}'"
    if not cell and name == "loss_se":
        return 0.0
    if not cell:
        message = f"{where}: empty: fill it in or leave the row out"
        raise FitError(message)
    value = _as_number(cell)
    if value is None:
        grouped = _as_number(cell.replace(",", "").replace("_", "").replace(" ", "").replace("'", ""))
        mend = "write it as 4.1e8 or 410000000" if grouped is None else "write it without thousands separators"
        message = f"{where}: '{cell}' is not a number: {mend}"
        raise FitError(message)
    if not math.isfinite(value):
        message = f"{where}: '{cell}' is not a finite number: mend it or leave the row out"
        raise FitError(message)
    if value < 0 or (value == 0 and name != "loss_se"):
        message = f"{where}: {cell} is not above 0, as a run's {name} must be: mend it or leave the row out"
        raise FitError(message)
    return value


def _as_number(cell: str) -> float | None:
    """Python reads 1_000 as a number; no table writes it."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None
