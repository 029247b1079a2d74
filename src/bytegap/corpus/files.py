"""Your own files: text, any other bytes, JSON lines and Parquet.

- `*.jsonl`, `*.jsonl.gz`, `*.jsonl.zst`, `*.parquet`: a document a row, from its text field.
- `*.txt`, `*.md`: a document a file, which must be UTF-8.
- anything else: a document a file, its raw bytes, never decoded.
"""

import codecs
import glob
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from pydantic import Field

from bytegap import plugins
from bytegap.errors import CorpusError, nearest
from bytegap.records import digest

_CHUNK_BYTES = 1 << 20
_BATCH_ROWS = 1024


class Options(plugins.Options):
    """Which files, and where in a row the text is."""

    paths: list[str] = Field(min_length=1)
    """Files, directories (all in them but hidden files), globs; from the current directory, `~` allowed."""
    text_field: str = "text"
    """Of JSON lines and Parquet."""


def fingerprint(options: Options) -> str:
    """Path, size and modification time of each file, and the field read; CorpusError if there is no file."""
    return digest([identity(_files(options.paths)), options.text_field])


def identity(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """What tells a file from its earlier self without reading it."""
    stats = [(str(file), file.stat()) for file in files]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def documents(options: Options) -> Iterator[bytes]:
    """Each document; CorpusError names the file, the line and the field that are wrong."""
    for file in _files(options.paths):
        rows = _reader(file)
        if rows is None:
            yield _whole(file)
            continue
        for where, row in rows(file, options.text_field):
            yield text_of(where, row, options.text_field)


def _files(paths: list[str]) -> list[Path]:
    """The files that `paths` name, each once, in order of name."""
    found: set[Path] = set()
    for name in paths:
        path = Path(name).expanduser()
        # `glob`, not `Path.glob`, which takes no absolute patterns.
        named = [str(path)] if path.exists() else glob.glob(str(path), recursive=True)  # noqa: PTH207
        matches = [Path(match) for match in named]
        if not matches:
            message = f"{path}: no file matches; paths start at the current directory, {Path.cwd()}"
            raise CorpusError(message)
        files = {file.resolve() for match in matches for file in _within(match)}
        if not any(file.stat().st_size for file in files):
            message = f"{path} holds no text: name files, or a directory of files, that are not empty"
            raise CorpusError(message)
        found |= files
    return sorted(found)


def _within(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    inside = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
    return [path / file for file in inside if not any(part.startswith(".") for part in file.parts)]


def _whole(file: Path) -> bytes:
    data = file.read_bytes()
    if file.suffix.lower() in {".txt", ".md"}:
        decoder = codecs.getincrementaldecoder("utf-8")()
        for begin in range(0, len(data) + 1, _CHUNK_BYTES):
            piece = memoryview(data)[begin : begin + _CHUNK_BYTES]
            begun = len(decoder.getstate()[0])  # bytes of a code point that crosses into this piece
            try:
                decoder.decode(piece, final=begin + _CHUNK_BYTES > len(data))
            except UnicodeDecodeError as error:
                message = (
                    f"{file} is not UTF-8 ({error.reason} at byte {begin - begun + error.start:,}): "
                    "convert it, or give raw bytes under another ending, such as .bin"
                )
                raise CorpusError(message) from None
    return data


# -- rows -----------------------------------------------------------------------------------------

Rows = Iterator[tuple[str, Any]]
"""Where each row is, for messages, and the row."""


def _reader(file: Path) -> Callable[[Path, str], Rows] | None:
    """How the file's ending says to read rows from it; None for a file that is one document."""
    endings = [suffix.lower() for suffix in file.suffixes]
    if endings[-1:] == [".jsonl"] or endings[-2:] in ([".jsonl", ".gz"], [".jsonl", ".zst"]):
        return _json_rows
    return _parquet_rows if endings[-1:] == [".parquet"] else None


def _json_rows(file: Path, field: str) -> Rows:  # noqa: ARG001 - a row of JSON is read whole
    compression = {".gz": "gzip", ".zst": "zstd"}.get(file.suffix.lower())
    number = 0
    try:
        # Arrow's streams say so when a compressed file is cut short, and read on across frames.
        with pa.input_stream(file, compression=compression) as stream:
            for number, line in enumerate(io.BufferedReader(stream, _CHUNK_BYTES), start=1):  # pyright: ignore[reportArgumentType]
                if line.strip():
                    yield f"{file}, line {number}", json.loads(line)
    except (ValueError, RecursionError) as error:
        message = f"{file}, line {number} is not JSON ({error}): mend or remove that line"
        raise CorpusError(message) from None
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(_torn(file, error)) from None


def _parquet_rows(file: Path, field: str) -> Rows:
    try:
        with parquet.ParquetFile(file) as table:
            columns = table.schema_arrow.names
            if field not in columns:
                message = f"{file} has no field '{field}': {nearest(field, columns)} (option text_field)"
                raise CorpusError(message)
            batches = table.iter_batches(_BATCH_ROWS, columns=[field])
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield f"{file}, row {number}", row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise CorpusError(_torn(file, error)) from None


def text_of(where: str, row: Any, field: str) -> bytes:
    """The text of a row; a lone surrogate that JSON may spell becomes its three bytes."""
    if not isinstance(row, dict):
        message = f"{where} is not an object with a field '{field}': one such object a line is read"
        raise CorpusError(message)
    if field not in row:
        message = f"{where} has no field '{field}': {nearest(field, row)} (option text_field)"
        raise CorpusError(message)
    if not isinstance(row[field], str):
        message = f"{where}: field '{field}' is not a string but {row[field]!r:.40}: set text_field to one that is"
        raise CorpusError(message)
    return row[field].encode("utf-8", "surrogatepass")


def _torn(file: Path, error: Exception) -> str:
    ending = "".join(file.suffixes[-2:] if file.suffix in {".gz", ".zst"} else file.suffixes[-1:])
    return f"{file} is not what its ending '{ending}' says, or is cut short ({error}): fetch it again or rename it"
