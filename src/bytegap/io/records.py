"""Records on disk: one per JSON file, or one per line of a JSON lines file.

A file, and each line of a table, ends with a checksum of the rest, so that one that was altered is rejected. A file
without a checksum, such as one written by hand, is read as it is.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from bytegap.errors import StudyDirError, file_error, sentence
from bytegap.io.atomic import write_bytes
from bytegap.schema.base import SCHEMA_VERSION, Record, digest

R = TypeVar("R", bound=Record)
_CHECKSUM = "checksum"


class _OtherVersionError(ValueError):
    """A record of another version of the file format."""


def write_record(path: Path, record: Record) -> None:
    """Write a record as indented JSON with its checksum."""
    text = record.model_dump_json(indent=1)
    write_bytes(path, f'{text[:-2]},\n "{_CHECKSUM}": "{digest(json.loads(text))}"\n}}\n'.encode())


def write_table(path: Path, rows: Iterable[Record]) -> None:
    """Write records as JSON lines, each with its checksum; to other readers of the file, one more column."""
    texts = (row.model_dump_json() for row in rows)
    lines = (f'{text[:-1]},"{_CHECKSUM}":"{digest(json.loads(text))}"}}\n' for text in texts)
    write_bytes(path, "".join(lines).encode())


def read_record(path: Path, model: type[R], verb: str) -> R:
    """Read a record; if the file is missing or damaged, a StudyDirError names `verb`, which writes it."""
    try:
        return parse(path.read_bytes(), model)
    except FileNotFoundError:
        raise StudyDirError(f"{path} is missing: run 'bytegap {verb}' first") from None
    except OSError as error:
        raise _refused(path, verb, error) from None
    except _OtherVersionError as error:
        raise StudyDirError(f"{path} {error}: delete it and run 'bytegap {verb}' again") from None
    except ValueError as error:
        raise StudyDirError(f"{path} is damaged ({error}): delete it and run 'bytegap {verb}' again") from None


def read_table(path: Path, model: type[R], verb: str) -> list[R]:
    """Read JSON lines of records; a StudyDirError names the line that is damaged."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise StudyDirError(f"{path} is missing: run 'bytegap {verb}' first") from None
    except OSError as error:
        raise _refused(path, verb, error) from None
    rows: list[R] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(parse(line, model))
        except ValueError as error:
            raise StudyDirError(f"{path}, line {number}: {error}: run 'bytegap {verb}' again") from None
    return rows


def _refused(path: Path, verb: str, error: OSError) -> Exception:
    """What to raise where the operating system does not let a file be read."""
    if isinstance(error, IsADirectoryError):
        return StudyDirError(f"{path} is a folder, not a file: delete it and run 'bytegap {verb}' again")
    refused = file_error(error)
    return StudyDirError(str(refused)) if refused else error


def parse(data: bytes, model: type[R]) -> R:
    """The record in a file or a line; ValueError with the reason if it is torn, altered, or another kind of record."""
    try:
        raw: object = json.loads(data)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if isinstance(raw, dict):
        fields = cast("dict[str, Any]", raw)
        if _CHECKSUM in fields and fields.pop(_CHECKSUM) != digest(fields):
            raise ValueError("its checksum does not match its content")
        version = fields.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise _OtherVersionError(
                f"has format {version!r:.20} of another bytegap version, and this one reads format {SCHEMA_VERSION}"
            )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ValueError(sentence(error, model)) from None
