"""How the bytes of a file become documents, by the ending of its name.

- `.txt`, `.md`: one document, which must be UTF-8.
- `.jsonl`: a document per line, from its text field.
- `.json`: the same, or one JSON object, or one list of objects, which is read at once.
- `.parquet`: a document per row, from its text field.
- `.gz`, `.zst`, `.bz2`, `.xz` after one of the endings above, as in `.jsonl.gz`: decompressed, then read as that ending
  says; Parquet compresses inside and is not read so.
- other compressed files and archives, such as `.zip`: CorpusError.
- anything else: one document, which must be UTF-8 and of no format that needs an ending.

Content that begins as another format is refused, whatever the name; `format = "bytes"` of the corpus takes the raw
bytes of every file instead.
"""

import codecs
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from pyarrow import parquet

from bytegap.data.decompress import ARROW_ERROR, CHUNK_BYTES, COMPRESSIONS, REFUSED, open_plain, torn
from bytegap.data.file_content import check_content, not_text
from bytegap.data.file_paths import unreadable
from bytegap.errors import CorpusError, nearest

_BATCH_ROWS = 1024
_BEGIN_BYTES = 1024


class _Batch(Protocol):
    """Some rows of a Parquet file."""

    def to_pylist(self) -> list[object]: ...


@dataclass(frozen=True)
class FileFormat:
    """What a file's name says of its bytes."""

    ending: str
    """In lower case, without that of the compression."""
    compression: str | None


def file_format(file: Path) -> FileFormat:
    """The format that the name of the file stands for; CorpusError if that is not read."""
    beneath, last = ["", "", *(suffix.lower() for suffix in file.suffixes)][-2:]
    compression = COMPRESSIONS.get(last)
    ending = last if compression is None else beneath
    if ending in REFUSED:
        raise CorpusError(
            f"{file} is an archive or a compressed file of a format that is not read ('{ending}'): "
            "unpack it, or leave it out of paths (.gz, .zst, .bz2 and .xz are read)"
        )
    if compression is not None and (ending in COMPRESSIONS or ending == ".parquet"):
        raise CorpusError(
            f"{file} is compressed twice ('{ending}{last}'): decompress it once, to the ending '{ending}'"
        )
    if not ending and file.is_symlink() and file.resolve().suffix.lower() in _ENDINGS:
        raise CorpusError(
            f"{file} has no ending that says how to read it, and is a link to {file.resolve()}: "
            "name that file instead, or give the link the same ending"
        )
    return FileFormat(ending, compression)


def _read_document(file: Path, format_: FileFormat, text_field: str) -> bytes:
    plain = io.BytesIO()
    with open_plain(file, format_.compression) as stream:
        shutil.copyfileobj(stream, plain, CHUNK_BYTES)
    data = plain.getvalue()
    ending = format_.ending if format_.ending in _TEXTS else ""
    check_content(file, data[:CHUNK_BYTES], ending, text_field)
    if wrong := _not_utf8(data):
        raise _wrong_text(file, wrong) if ending else not_text(file, wrong)
    return data


def _wrong_text(file: Path, reason: str) -> CorpusError:
    return CorpusError(
        f'{file} is not UTF-8 ({reason}): convert it, or set format = "bytes" in [corpus] to train on the raw bytes of '
        "all files"
    )


def _not_utf8(data: bytes) -> str:
    """Why bytes are not UTF-8, and where; empty if they are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for begin in range(0, len(data) + 1, CHUNK_BYTES):
        piece = memoryview(data)[begin : begin + CHUNK_BYTES]
        begun = len(decoder.getstate()[0])  # bytes of a code point that crosses into this piece
        try:
            decoder.decode(piece, final=begin + CHUNK_BYTES > len(data))
        except UnicodeDecodeError as error:
            return f"{error.reason} at byte {begin - begun + error.start:,}"
    return ""


Rows = Iterator[tuple[str, object]]
"""Where each row is, for messages, and the row."""


def _json_lines(file: Path, compression: str | None, field: str) -> Rows:
    with open_plain(file, compression) as stream:
        check_content(file, _begin(stream), ".jsonl", field)
        yield from _lines(file, enumerate(stream, start=1))


def _json(file: Path, compression: str | None, field: str) -> Rows:
    """Rows of a file of JSON lines, or of one that is a single value: an object, or a list of objects."""
    with open_plain(file, compression) as stream:
        check_content(file, _begin(stream), ".json", field)
        lines = enumerate(stream, start=1)
        number, first = next(((number, line) for number, line in lines if line.strip()), (0, b""))
        if not first:
            return
        try:
            value: object = json.loads(first)
        except (ValueError, RecursionError):
            value = _value(file, b"\n" * (number - 1) + first + stream.read())
        if isinstance(value, list):
            yield from ((f"{file}, item {i}", row) for i, row in enumerate(cast("list[object]", value), start=1))
        else:
            yield f"{file}, line {number}", value
        yield from _lines(file, lines)


def _begin(stream: "io.BufferedReader[io.RawIOBase]") -> bytes:
    """The first bytes of a stream, which are read again later."""
    return stream.peek(_BEGIN_BYTES)[:_BEGIN_BYTES]


def _lines(file: Path, lines: Iterable[tuple[int, bytes]]) -> Rows:
    for number, line in lines:
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise CorpusError(f"{file}, line {number} is not JSON ({error}): correct or remove that line") from None
            yield f"{file}, line {number}", row


def _value(file: Path, data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{file} is not JSON ({error}): write an object a line, or one list of objects") from None


def _parquet_rows(file: Path, compression: str | None, field: str) -> Rows:  # noqa: ARG001 - it compresses inside
    try:
        with parquet.ParquetFile(file) as table:
            columns = cast("list[str]", table.schema_arrow.names)
            if field not in columns:
                raise CorpusError(f"{file} has no field '{field}': {nearest(field, columns)} (option text_field)")
            batches = cast("Iterator[_Batch]", table.iter_batches(_BATCH_ROWS, columns=[field]))
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield f"{file}, row {number}", row
    except (ARROW_ERROR, UnicodeDecodeError) as error:
        raise torn(file, error) from None
    except OSError as error:
        raise (torn(file, error) if error.errno is None else unreadable(file, error)) from None


def row_text(where: str, row: object, field: str) -> bytes:
    """The text of a row; a lone surrogate that JSON may spell becomes its three bytes."""
    if not isinstance(row, dict):
        raise CorpusError(f"{where} is not an object with a field '{field}': one such object a line is read")
    fields = cast("dict[str, object]", row)
    if field not in fields:
        raise CorpusError(f"{where} has no field '{field}': {nearest(field, fields)} (option text_field)")
    text = fields[field]
    if not isinstance(text, str):
        raise CorpusError(f"{where}: field '{field}' is not a string but {text!r:.40}: set text_field to one that is")
    return text.encode("utf-8", "surrogatepass")


def documents_in(file: Path, text_field: str) -> Iterator[bytes]:
    """The documents of one file; CorpusError names the file, the line and the field that are wrong."""
    format_ = file_format(file)
    rows = _ROWS.get(format_.ending)
    if rows is None:
        yield _read_document(file, format_, text_field)
        return
    for where, row in rows(file, format_.compression, text_field):
        yield row_text(where, row, text_field)


def has_known_ending(file: Path) -> bool:
    """Whether the ending of the name says how the file is read."""
    return file.suffix.lower() in _ENDINGS


_TEXTS = {".txt", ".md"}
_ROWS: dict[str, Callable[[Path, str | None, str], Rows]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".parquet": _parquet_rows,
}
_ENDINGS = _TEXTS | _ROWS.keys() | COMPRESSIONS.keys() | REFUSED
"""Endings that say what a file is; all others are raw bytes."""
