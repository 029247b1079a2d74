"""Files on disk: text, JSON, Parquet and any other bytes; the ending of a name says how a file is read.

`data/file_formats.py` lists the endings.
The name that counts is the one that was given or found, also where it is a link to a file with another name.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.data.corpora.base import CorpusSource
from bytegap.data.file_formats import documents_in, file_format, has_known_ending
from bytegap.data.file_paths import named, unreadable, within
from bytegap.errors import CorpusError
from bytegap.io.paths import expanded
from bytegap.schema.base import digest


@dataclass(frozen=True)
class Files(CorpusSource):
    """Local files as a corpus: the options say which, and where in a row the text is."""

    paths: list[str] = Field(min_length=1)
    """Files, folders (all files in them but hidden ones) and globs; relative to the current directory, `~` allowed."""
    text_field: str = "text"
    """The field of JSON and Parquet rows that has the text."""
    format: Literal["auto", "bytes"] = "auto"
    """`auto`: as the ending of a name says; `bytes`: each file is one document of its raw bytes, whatever its name."""

    def fingerprint(self) -> str:
        """Path, size, modification time and format of each file, and the field; CorpusError if there is no file."""
        files = _files(self.paths)
        if self.format == "bytes":
            return digest([identity(file.resolve() for file in files), self.format])
        formats = [(format_.ending, format_.compression) for format_ in map(file_format, files)]
        return digest([identity(file.resolve() for file in files), formats, self.text_field])

    def documents(self) -> Iterator[bytes]:
        """Each document; CorpusError names the file, the line and the field that are wrong."""
        files = _files(self.paths)
        if self.format == "bytes":
            for file in files:
                yield raw_bytes(file)
            return
        for file in files:
            file_format(file)  # all names are checked before the first file is read
        for file in files:
            yield from documents_in(file, self.text_field)


def raw_bytes(file: Path) -> bytes:
    """All bytes of a file; CorpusError where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise unreadable(file, error) from None


def identity(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, size and modification time of each file: changes when a file does, without reading it."""
    stats = [(str(file), file.stat()) for file in files]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _files(paths: list[str]) -> list[Path]:
    """The files that `paths` name, each once.

    A file with several names, as in a cache of the Hub, is read under one whose ending says what it is.
    """
    chosen: dict[Path, Path] = {}
    for name in paths:
        path = expanded(name)
        files = _files_of(path)
        if not any(file.stat().st_size for file in files):
            raise CorpusError(f"{path} holds no text: name files, or a directory of files, that are not empty")
        for file in files:
            real = file.resolve()
            chosen[real] = min(chosen.get(real, file), file, key=_by_ending)
    return [chosen[real] for real in sorted(chosen)]


def _files_of(path: Path) -> list[Path]:
    matches = list(named(path))
    if not matches:
        raise CorpusError(f"{path}: no file matches; paths start at the current directory, {Path.cwd()}")
    return [file.absolute() for match in matches for file in within(match)]


def _by_ending(file: Path) -> tuple[bool, Path]:
    """Sort key: names with a known ending first."""
    return not has_known_ending(file), file
