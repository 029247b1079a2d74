"""The study folder: its layout, atomic writes, and whether a stage's result still stands.

Reads and writes every record. A file appears whole or not at all; a folder of files is built aside and moved in whole.
A record's file, and each line of a table, ends with a checksum of the rest, so that one altered in place is named and
not read; what was written without one, by hand or by an older version, is read as it is.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from bytegap.console import say
from bytegap.errors import StoreError
from bytegap.records import Record, digest

R = TypeVar("R", bound=Record)
_CHECKSUM = "checksum"


class Folder:
    """Paths of one study under `out/<study name>/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.corpus = root / "corpus"
        self.tokens = root / "tokens"
        self.runs = root / "runs"
        self.report = root / "report"
        self.corpus_manifest = self.corpus / "manifest.json"
        self.windows_manifest = self.tokens / "windows.json"
        self.controls = root / "controls.json"
        self.plan = root / "plan.json"
        self.jobs = root / "jobs.json"
        self.table = root / "runs.jsonl"
        self.audit = root / "audit.json"
        self.fit = root / "fit.json"
        self.probe = root / "probe.json"
        self.baselines = root / "baselines.json"
        self.harness = root / "harness.json"

    def tokens_of(self, name: str) -> Path:
        """The folder of one tokenizer."""
        return self.tokens / name

    def run(self, run: str) -> Path:
        """The folder of one run."""
        return self.runs / run


@contextlib.contextmanager
def whole(path: Path) -> Generator[Path]:
    """A path aside to write to, which becomes `path`, durable, when the block ends well, and is gone when not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    aside = Path(name)
    try:
        os.close(handle)
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.chmod(0o644)
        aside.replace(path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space(path) from None
        raise


def no_space(path: Path) -> StoreError:
    """What a full disk is told as."""
    message = f"{path}: no space left on the disk: free some, then the same command continues where it stopped"
    return StoreError(message)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` whole or not at all, durable once this returns."""
    with whole(path) as aside:
        aside.write_bytes(data)


def write_record(path: Path, record: Record) -> None:
    """Write a record as readable JSON, a checksum of it at its end."""
    text = record.model_dump_json(indent=1)
    write_bytes(path, f'{text[:-2]},\n "{_CHECKSUM}": "{digest(json.loads(text))}"\n}}\n'.encode())


def write_table(path: Path, rows: Iterable[Record]) -> None:
    """Write records as JSON lines, a checksum of each at its end: to other readers one more column."""
    texts = (row.model_dump_json() for row in rows)
    lines = (f'{text[:-1]},"{_CHECKSUM}":"{digest(json.loads(text))}"}}\n' for text in texts)
    write_bytes(path, "".join(lines).encode())


def read_record(path: Path, model: type[R], made_by: str) -> R:
    """Read a record; StoreError names the verb that makes a missing one, or says the file is damaged."""
    try:
        return _parsed(path.read_bytes(), model)
    except FileNotFoundError:
        message = f"{path} is missing: run 'bytegap {made_by}' first"
        raise StoreError(message) from None
    except ValueError as error:
        message = (
            f"{path} is damaged or of another version ({_complaint(error)}): "
            f"delete it and run 'bytegap {made_by}' again"
        )
        raise StoreError(message) from None


def _parsed(data: bytes, model: type[R]) -> R:
    """The record in a file or line; ValueError if it is torn, altered, or another kind of record."""
    try:
        raw = json.loads(data)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if isinstance(raw, dict) and _CHECKSUM in raw and cast("dict[str, Any]", raw).pop(_CHECKSUM) != digest(raw):
        message = "its checksum is not that of what it holds"
        raise ValueError(message)
    return model.model_validate(raw)


def _complaint(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def read_table(path: Path, model: type[R], made_by: str) -> list[R]:
    """Read JSON lines of records; a StoreError names the line that is damaged."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        message = f"{path} is missing: run 'bytegap {made_by}' first"
        raise StoreError(message) from None
    rows: list[R] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_parsed(line, model))
        except ValueError as error:
            message = f"{path}, line {number}: {_complaint(error)}: run 'bytegap {made_by}' again"
            raise StoreError(message) from None
    return rows


def standing(path: Path, model: type[R], inputs: str) -> R | None:
    """The record at `path` if it was made from exactly `inputs`; None, and a word why, where it must be made anew."""
    if not path.exists():
        return None
    try:
        record = _parsed(path.read_bytes(), model)
    except ValueError:
        say("stale", f"{path}: damaged or of another version, making it anew")
        return None
    if getattr(record, "inputs", None) == inputs:
        return record
    say("stale", f"{path}: an input changed, making it anew")
    return None


@contextlib.contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """A fresh folder to fill, moved to `path` whole when the block ends well, gone without a trace when not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield building
        building.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        building.replace(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
