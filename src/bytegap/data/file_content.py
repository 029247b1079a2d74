"""What a file is by its first bytes, where its name says something else or nothing."""

import json
from pathlib import Path

from bytegap.errors import CorpusError

_SIGNATURES = (
    (b"\x1f\x8b", "gzip", ".gz"),
    (b"\x28\xb5\x2f\xfd", "zstd", ".zst"),
    (b"BZh", "bzip2", ".bz2"),
    (b"\xfd7zXZ\x00", "xz", ".xz"),
    (b"PAR1", "Parquet", ".parquet"),
    (b"PK\x03\x04", "a zip archive", ""),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", ""),
    (b"Rar!\x1a\x07", "a rar archive", ""),
    (b"%PDF-", "PDF", ""),
    (b"ARROW1", "an Arrow file", ""),
    (b"\xff\xff\xff\xff\x90\x00\x00\x00", "an Arrow stream", ""),
    (b"\x93NUMPY", "a numpy array", ""),
    (b"\x89HDF", "HDF5", ""),
    (b"SQLite format 3\x00", "an SQLite database", ""),
    (b"\xff\xfe", "UTF-16 text", ""),
    (b"\xfe\xff", "UTF-16 text", ""),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", ""),
)
"""How content begins, what it is, and the ending that it is read by; an empty one where it is not read."""
_TAR_AT, _TAR = 257, b"ustar"


def check_content(file: Path, begin: bytes, ending: str, text_field: str) -> None:
    """CorpusError where the plain content of a file begins as something other than what `ending` is read as.

    `begin` are its first bytes; `ending` is empty where the name says nothing, and the content must then be text of no
    other format.
    """
    what, read_by = _signature(begin)
    if what:
        named = f"is named '{ending}', and" if ending else "has a name that says nothing of its format, and"
        if "LFS" in what:
            fix = "fetch it with 'git lfs pull'"
        elif read_by:
            fix = f"give it the ending '{ending}{read_by}'" if read_by != ".parquet" and ending else _fix(read_by)
        else:
            fix = _fix("")
        raise CorpusError(f"{file} {named} its content is {what}: {fix}")
    if not ending and _is_json_rows(begin, text_field):
        raise CorpusError(
            f"{file} has a name that says nothing of its format, and its content is JSON with a field '{text_field}': "
            f"{_fix('.jsonl')}"
        )


def not_text(file: Path, reason: str) -> CorpusError:
    """The error for a file whose name says nothing and whose content is not UTF-8."""
    return CorpusError(
        f"{file} has a name that says nothing of its format, and its content is not UTF-8 text ({reason}): {_fix('')}"
    )


def _fix(ending: str) -> str:
    given = f"give it the ending '{ending}'" if ending else "convert it to text"
    return f'{given}, or set format = "bytes" in [corpus] to train on the raw bytes of all files'


def _signature(begin: bytes) -> tuple[str, str]:
    for signature, what, read_by in _SIGNATURES:
        if begin.startswith(signature):
            return what, read_by
    return ("a tar archive", "") if begin[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR else ("", "")


def _is_json_rows(begin: bytes, text_field: str) -> bool:
    """Whether the first line is a JSON object with the field."""
    try:
        row = json.loads(begin.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and text_field in row
