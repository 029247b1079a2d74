"""Rows of a table in JSON: lines of objects, or one list of them, as wandb's API and a study's own runs.jsonl have."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bytegap.errors import FitError
from bytegap.schema.json import Json, JsonObject

Records = Sequence[Mapping[str, float | str | None]]
"""Rows by column name; None is an empty cell."""


def read_json_records(path: Path) -> Records | None:
    """The rows of a file that begins as JSON does; None for any other. FitError where it is not read to its end."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None  # the reader of CSV says what is wrong
    begin = text.lstrip()[:1]
    if begin == "[":
        rows = _parsed(path, 1, text)
        if not isinstance(rows, list):
            raise FitError(f"{path}: a list of JSON objects is expected, one for each run")
        numbered = list(enumerate(rows, start=1))
    elif begin == "{":
        lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        numbered = [(number, _parsed(path, number, line)) for number, line in lines]
    else:
        return None
    return [_flat(path, number, row) for number, row in numbered]


def is_study(records: Records) -> bool:
    """Whether these are the rows of a study's runs.jsonl."""
    return bool(records) and all(
        {"run", "status", "non_embedding_parameters", "bpb"} <= record.keys() for record in records
    )


def _parsed(path: Path, number: int, text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FitError(f"{path}, row {number}: not JSON ({error}): write one object a line, or one list") from None


def _flat(path: Path, number: int, row: Json) -> dict[str, float | str | None]:
    if not isinstance(row, dict):
        raise FitError(f"{path}, row {number}: {row!r:.40} is not a JSON object with the columns of a run")
    return dict(_cells("", row))


def _cells(prefix: str, row: JsonObject) -> Iterator[tuple[str, float | str | None]]:
    """Columns and cells; lists are left out, as no column of a table is one."""
    for key, value in row.items():
        if isinstance(value, dict):
            yield from _cells(f"{prefix}{key}.", value)
        elif not isinstance(value, list):
            yield f"{prefix}{key}", value
