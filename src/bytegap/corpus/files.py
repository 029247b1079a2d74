"""Your own files: text, JSON, Parquet and any other bytes. The ending of a file's name says how it is read.

- `*.txt`, `*.md`: a document a file, which must be UTF-8.
- `*.jsonl`: a document a line, from its text field.
- `*.json`: the same, or one JSON object, or one list of objects, which is then read whole.
- `*.parquet`: a document a row, from its text field.
- `*.gz`, `*.zst`, `*.bz2`, `*.xz` behind one of the endings above, as in `*.jsonl.gz`: decompressed, then read as that
  ending says. Parquet compresses inside, and is not read so.
- other compressed files and archives, such as `*.zip`: CorpusError.
- anything else: a document a file, its raw bytes, never decoded.

The name that counts is the one that was given or found, also where it is a link to a file of another name.
"""

import codecs
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from pydantic import Field

from bytegap import plugins
from bytegap.corpus._compressed import CHUNK_BYTES, COMPRESSIONS, REFUSED, opened, torn
from bytegap.corpus._paths import named, unreadable, within
from bytegap.errors import CorpusError, nearest
from bytegap.records import digest

_BATCH_ROWS = 1024


class Options(plugins.Options):
    """Which files, and where in a row the text is."""

    paths: list[str] = Field(min_length=1)
    """Files, directories (all in them but hidden files), globs; from the current directory, `~` allowed."""
    text_field: str = "text"
    """Of JSON and Parquet."""


def fingerprint(options: Options) -> str:
    """Path, size, modification time and format of each file, and the field read; CorpusError if there is no file."""
    files = _files(options.paths)
    formats = [(format_.ending, format_.compression) for format_ in map(_format, files)]
    return digest([identity(file.resolve() for file in files), formats, options.text_field])


def identity(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """What tells a file from its earlier self without reading it."""
    stats = [(str(file), file.stat()) for file in files]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def documents(options: Options) -> Iterator[bytes]:
    """Each document; CorpusError names the file, the line and the field that are wrong."""
    files = [(file, _format(file)) for file in _files(options.paths)]
    for file, format_ in files:
        rows = _ROWS.get(format_.ending)
        if rows is None:
            yield _whole(file, format_)
            continue
        for where, row in rows(file, format_.compression, options.text_field):
            yield text_of(where, row, options.text_field)


# -- files ----------------------------------------------------------------------------------------


def _files(paths: list[str]) -> list[Path]:
    """The files that `paths` name, each once, under the name that was given or found."""
    chosen: dict[Path, Path] = {}
    for name in paths:
        path = Path(name).expanduser()
        files = _files_of(path)
        if not any(file.stat().st_size for file in files):
            message = f"{path} holds no text: name files, or a directory of files, that are not empty"
            raise CorpusError(message)
        for file in files:
            real = file.resolve()
            chosen[real] = min(chosen.get(real, file), file, key=_telling)
    return [chosen[real] for real in sorted(chosen)]


def _files_of(path: Path) -> list[Path]:
    matches = list(named(path))
    if not matches:
        message = f"{path}: no file matches; paths start at the current directory, {Path.cwd()}"
        raise CorpusError(message)
    return [file.absolute() for match in matches for file in within(match)]


def _telling(file: Path) -> tuple[bool, Path]:
    """Sorts a name whose ending says what it is before one of the same file that does not, as in a cache of the Hub."""
    return file.suffix.lower() not in _ENDINGS, file


@dataclass(frozen=True)
class _Format:
    """What a file's name says of its bytes."""

    ending: str
    """In lower case, without that of the compression."""
    compression: str | None


def _format(file: Path) -> _Format:
    """The format that the name of the file stands for; CorpusError if that is not read."""
    beneath, last = ["", "", *(suffix.lower() for suffix in file.suffixes)][-2:]
    compression = COMPRESSIONS.get(last)
    ending = last if compression is None else beneath
    if ending in REFUSED:
        message = (
            f"{file} is an archive or a compressed file of a format that is not read ('{ending}'): "
            "unpack it, or leave it out of paths (.gz, .zst, .bz2 and .xz are read)"
        )
        raise CorpusError(message)
    if compression is not None and (ending in COMPRESSIONS or ending == ".parquet"):
        message = f"{file} is compressed twice ('{ending}{last}'): decompress it once, to the ending '{ending}'"
        raise CorpusError(message)
    if not ending and file.is_symlink() and file.resolve().suffix.lower() in _ENDINGS:
        message = (
            f"{file} has no ending that says how to read it, and is a link to {file.resolve()}: "
            "name that file instead, or give the link the same ending"
        )
        raise CorpusError(message)
    return _Format(ending, compression)


def _whole(file: Path, format_: _Format) -> bytes:
    plain = io.BytesIO()
    with opened(file, format_.compression) as stream:
        shutil.copyfileobj(stream, plain, CHUNK_BYTES)
    data = plain.getvalue()
    if format_.ending in _TEXTS:
        _check_utf8(file, data)
    return data


def _check_utf8(file: Path, data: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for begin in range(0, len(data) + 1, CHUNK_BYTES):
        piece = memoryview(data)[begin : begin + CHUNK_BYTES]
        begun = len(decoder.getstate()[0])  # bytes of a code point that crosses into this piece
        try:
            decoder.decode(piece, final=begin + CHUNK_BYTES > len(data))
        except UnicodeDecodeError as error:
            message = (
                f"{file} is not UTF-8 ({error.reason} at byte {begin - begun + error.start:,}): "
                "convert it, or give raw bytes under another ending, such as .bin"
            )
            raise CorpusError(message) from None


# -- rows -----------------------------------------------------------------------------------------

Rows = Iterator[tuple[str, Any]]
"""Where each row is, for messages, and the row."""


def _json_lines(file: Path, compression: str | None, field: str) -> Rows:  # noqa: ARG001 - a row of JSON is read whole
    with opened(file, compression) as stream:
        yield from _lines(file, enumerate(stream, start=1))


def _json(file: Path, compression: str | None, field: str) -> Rows:  # noqa: ARG001 - a row of JSON is read whole
    """Rows of a file of JSON lines, or of one that is a single value: an object, or a list of objects."""
    with opened(file, compression) as stream:
        lines = enumerate(stream, start=1)
        number, first = next(((number, line) for number, line in lines if line.strip()), (0, b""))
        if not first:
            return
        try:
            value = json.loads(first)
        except (ValueError, RecursionError):
            value = _value(file, b"\n" * (number - 1) + first + stream.read())
        if isinstance(value, list):
            yield from ((f"{file}, item {i}", row) for i, row in enumerate(value, start=1))
        else:
            yield f"{file}, line {number}", value
        yield from _lines(file, lines)


def _lines(file: Path, lines: Iterable[tuple[int, bytes]]) -> Rows:
    for number, line in lines:
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                message = f"{file}, line {number} is not JSON ({error}): mend or remove that line"
                raise CorpusError(message) from None
            yield f"{file}, line {number}", row


def _value(file: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        message = f"{file} is not JSON ({error}): write an object a line, or one list of objects"
        raise CorpusError(message) from None


def _parquet_rows(file: Path, compression: str | None, field: str) -> Rows:  # noqa: ARG001 - it compresses inside
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
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise torn(file, error) from None
    except OSError as error:
        raise (torn(file, error) if error.errno is None else unreadable(file, error)) from None


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


_TEXTS = {".txt", ".md"}
_ROWS: dict[str, Callable[[Path, str | None, str], Rows]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".parquet": _parquet_rows,
}
_ENDINGS = _TEXTS | _ROWS.keys() | COMPRESSIONS.keys() | REFUSED
"""Endings that say what a file is; all others are raw bytes."""
