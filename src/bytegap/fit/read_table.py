"""Reads the rows of `bytegap fit-table`: a CSV file with a header, JSON lines, or a list of records, one run each.

Columns: `loss`, and `flops`, `params`, `tokens`, of which one may follow from C = 6 N D; optionally `arm`, `budget`,
`loss_se`, `objective` and `tokenizer`. Other columns are ignored. Rows are numbered as in a spreadsheet: the header is
row 1, and the first record is row 2. Every error names its row and column.

Of JSON lines, or one JSON list, each object is a run; nested objects become columns with dotted names, such as
`summary.val_loss`. A study's own `runs.jsonl` needs no names of columns.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bytegap.errors import FitError, nearest
from bytegap.fit.json_records import Records, is_study, read_json_records
from bytegap.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN

COUNTS = ("flops", "params", "tokens")
NUMBERS = (*COUNTS, "loss", "budget", "loss_se")
WORDS = ("arm", "objective", "tokenizer")
COLUMNS = (*NUMBERS, *WORDS)
LEAST_ROWS = 6
"""One more than the Chinchilla law has parameters."""
STUDY_COLUMNS = {"params": "non_embedding_parameters", "loss": "bpb", "loss_se": "bpb_se", "budget": "budget_flops"}
"""Columns of a study's `runs.jsonl` that have other names there."""


@dataclass(frozen=True)
class TableRow:
    """One run: sizes and compute as the table counts them, the loss in the table's own unit."""

    row: int
    """Its number, for messages."""
    arm: str
    """Empty where the table has no arms, as are `objective` and `tokenizer`."""
    params: float
    tokens: float
    flops: float
    loss: float
    loss_se: float
    """Standard error of the loss; 0 where the table gives none."""
    budget: float | None
    """Nominal compute; None where the table gives none."""
    objective: str
    tokenizer: str


@dataclass(frozen=True)
class _Header:
    """The columns of a table."""

    table: str
    """What errors call the table: its path."""
    names: list[str]
    index: Mapping[str, int]
    """Index of each of `COLUMNS` that the table has."""


def read(path: Path, columns: Mapping[str, str], convention: str | None) -> list[TableRow]:
    """The rows of a file of CSV or JSON; `columns` maps names of `COLUMNS` to the file's own.

    `convention = "6nd"` computes a missing one of flops, params and tokens by C = 6 N D. FitError where the file is no
    table, a column is missing, or a cell is not a number that a run can have.
    """
    if (records := read_json_records(path)) is None:
        names, lines = _lines(path)
        return _rows(str(path), names, lines, columns, convention)
    if is_study(records):
        records = [record for record in records if record["status"] == "finished"]
        columns = {**STUDY_COLUMNS, **columns}
    return read_records(records, columns, convention, str(path), first_row=1)


def read_records(
    records: Records,
    columns: Mapping[str, str],
    convention: str | None,
    table: str = "the table",
    first_row: int = 2,
) -> list[TableRow]:
    """The same of rows in memory, such as `list(csv.DictReader(file))` or `frame.to_dicts()` of a polars frame."""
    names = list(dict.fromkeys(name for record in records for name in record))
    cells = [["" if (cell := record.get(name)) is None else str(cell) for name in names] for record in records]
    return _rows(table, names, list(enumerate(cells, start=first_row)), columns, convention)


def _rows(
    table: str,
    names: list[str],
    lines: Sequence[tuple[int, list[str]]],
    columns: Mapping[str, str],
    convention: str | None,
) -> list[TableRow]:
    header = _Header(table, names, _index(table, names, columns, convention))
    rows = [_row(header, number, cells) for number, cells in lines]
    if not rows:
        raise FitError(f"{table}: there is no row below the header: add one row per run")
    return rows


def parse_columns(text: str) -> dict[str, str]:
    """`params=Model Size,loss=loss` as a mapping; FitError where it is not that or names no column of `COLUMNS`."""
    found: dict[str, str] = {}
    for part in _parts(text):
        ours, equals, theirs = (each.strip() for each in part.partition("="))
        if not equals or not theirs:
            raise FitError(f"--columns: '{part}' is not OURS=THEIRS, as in 'params=Model Size'")
        if ours not in COLUMNS:
            raise FitError(f"--columns: there is no column '{ours}' to name: {nearest(ours, COLUMNS)}")
        if ours in found:
            raise FitError(f"--columns: '{ours}' is named twice: keep one of them")
        found[ours] = theirs
    return found


def _parts(text: str) -> list[str]:
    """What lies between the commas; a part with a comma in it is quoted, as in '"params=Size, M",loss=bpb'."""
    try:
        [parts] = csv.reader([text], skipinitialspace=True, strict=True) if text.strip() else [[]]
    except (csv.Error, ValueError):
        raise FitError(f"--columns: the quotes in '{text}' do not close: quote a whole OURS=THEIRS") from None
    return [part.strip() for part in parts if part.strip()]


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """(header, (row number, cells) of every line that is not blank)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file, strict=True)]
    except FileNotFoundError:
        raise FitError(f"{path}: no such table; name a CSV file with a header") from None
    except IsADirectoryError:
        raise FitError(f"{path} is a folder; name the CSV file in it") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FitError(f"{path}: not a CSV file ({error}): save it as comma-separated UTF-8 text") from None
    except OSError as error:
        raise FitError(f"{path}: cannot be read ({error.strerror}): name a CSV file") from None
    filled = [(number, cells) for number, cells in enumerate(lines, start=1) if any(cells)]
    if not filled:
        raise FitError(f"{path}: the file is empty; it needs a header such as 'params,tokens,flops,loss'")
    (first, header), *rest = filled
    if len(header) < 2:
        raise FitError(
            f"{path}, row {first}: not a comma-separated header ('{header[0][:40]}'): separate columns by commas"
        )
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise FitError(f"{path}, row {first}: there are two columns '{repeated[0]}': rename one of them")
    return header, rest


def _index(table: str, header: list[str], columns: Mapping[str, str], convention: str | None) -> dict[str, int]:
    """Index of each of `COLUMNS` that the table has; FitError where one that is needed is missing."""
    for ours, theirs in columns.items():
        if theirs not in header:
            raise FitError(
                f"{table}: there is no column '{theirs}' to be '{ours}': {nearest(theirs, filter(None, header))}"
            )
    if repeated := sorted({theirs for theirs in columns.values() if list(columns.values()).count(theirs) > 1}):
        raise FitError(f"columns: '{repeated[0]}' is named for two columns: name it for one of them")
    names = {ours: columns.get(ours, ours) for ours in COLUMNS}
    names = {ours: theirs for ours, theirs in names.items() if ours in columns or theirs not in columns.values()}
    index = {ours: header.index(theirs) for ours, theirs in names.items() if theirs in header}
    if "loss" not in index:
        raise _missing(table, "loss", header, index)
    absent = [name for name in COUNTS if name not in index]
    if absent and (len(absent) > 1 or convention is None):
        raise _missing(table, absent[0], header, index)
    return index


def _missing(table: str, name: str, header: list[str], index: Mapping[str, int]) -> FitError:
    """The error for a column that is needed; it serves the verb and the function alike."""
    taken = {header[at]: ours for ours, at in index.items()}
    free = [each for each in header if each and each not in taken]
    where = f"the one of that name is read as '{taken[name]}'" if name in taken else nearest(name, free)
    return FitError(
        f"{table}: there is no column '{name}' ({where}): say which column it is, --columns '{name}=...' or in Python "
        f"columns={{'{name}': '...'}}; a table needs 'loss', 'flops', 'params' and 'tokens', one of the last three not "
        "with --convention 6nd or convention='6nd', which computes it by C = 6 N D"
    )


def _row(header: _Header, number: int, cells: Sequence[str]) -> TableRow:
    where = f"{header.table}, row {number}"
    if len(cells) > len(header.names):
        raise FitError(
            f"{where}: {len(cells)} cells under {len(header.names)} columns: quote cells that contain commas, and "
            "write numbers without thousands separators"
        )
    text = {name: cells[at] if at < len(cells) else "" for name, at in header.index.items()}
    numbers = {
        name: _number(f"{where}, column '{header.names[header.index[name]]}'", cell, name)
        for name, cell in text.items()
        if name in NUMBERS
    }
    if text.get("arm") == "":
        raise FitError(f"{where}, column '{header.names[header.index['arm']]}': empty: name the run's arm")
    flops, params, tokens = _counts(*(numbers.get(name) for name in COUNTS))
    if not all(math.isfinite(each) and each > 0 for each in (flops, params, tokens)):
        raise FitError(f"{where}: C = 6 N D gives no finite number: check the row's units")
    return TableRow(
        row=number,
        params=params,
        tokens=tokens,
        flops=flops,
        loss=numbers["loss"],
        loss_se=numbers.get("loss_se", 0.0),
        budget=numbers.get("budget"),
        arm=text.get("arm", ""),
        objective=text.get("objective", ""),
        tokenizer=text.get("tokenizer", ""),
    )


def _counts(flops: float | None, params: float | None, tokens: float | None) -> tuple[float, float, float]:
    """(C, N, D), a missing one of them computed by C = 6 N D."""
    if flops is None:
        assert params is not None
        assert tokens is not None
        return FLOPS_PER_PARAMETER_AND_TOKEN * params * tokens, params, tokens
    if params is None:
        assert tokens is not None
        return flops, flops / FLOPS_PER_PARAMETER_AND_TOKEN / tokens, tokens
    return flops, params, flops / FLOPS_PER_PARAMETER_AND_TOKEN / params if tokens is None else tokens


def _number(where: str, cell: str, name: str) -> float:
    """A finite number above 0; a standard error may be 0 or empty."""
    if not cell and name == "loss_se":
        return 0.0
    if not cell:
        raise FitError(f"{where}: empty: fill it in or leave the row out")
    value = _as_number(cell)
    if value is None:
        ungrouped = _as_number(cell.replace(",", "").replace("_", "").replace(" ", "").replace("'", ""))
        fix = "write it as 4.1e8 or 410000000" if ungrouped is None else "write it without thousands separators"
        raise FitError(f"{where}: '{cell}' is not a number: {fix}")
    if not math.isfinite(value):
        raise FitError(f"{where}: '{cell}' is not a finite number: correct it or leave the row out")
    if value < 0 or (value == 0 and name != "loss_se"):
        raise FitError(f"{where}: {cell} is not above 0, as a run's {name} must be: correct it or leave the row out")
    return value


def _as_number(cell: str) -> float | None:
    """Python reads 1_000 as a number; in a table it is a mistake."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None
