"""Find the files that a path, a folder or a glob names.

Links to folders are followed, and each folder is entered once, so that a loop of links ends. Hidden files and folders
are left out unless they are named. What cannot be read raises CorpusError: no file is left out without a word.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from bytegap.errors import CorpusError

_MAGIC = re.compile(r"[*?[]")


def named(path: Path) -> Iterator[Path]:
    """The path itself if it exists, else the files and folders that it matches as a glob."""
    if _status(path) is not None:
        yield path
    else:
        yield from _matches(Path(path.anchor), path.parts[bool(path.anchor) :])


def within(path: Path) -> Iterator[Path]:
    """The file itself, or each file in the folder and in all folders below it."""
    status = _status(path)
    if status is None:
        raise CorpusError(_broken(path))
    if stat.S_ISREG(status.st_mode):
        yield path
    elif stat.S_ISDIR(status.st_mode):
        for _, files in _walk(path):
            yield from files


def unreadable(path: Path, error: OSError) -> CorpusError:
    """The error for a file or a folder that the system does not let us read."""
    fix = (
        "allow it (for example, chmod -R u+rX), or name only paths that you may read"
        if isinstance(error, PermissionError)
        else "repair it, or name other paths"
    )
    return CorpusError(f"{path} cannot be read ({error.strerror or error}): {fix}")


def _matches(base: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """What the parts of a glob match below `base`."""
    if not parts:
        yield base
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for folder, _ in _walk(base):
            yield from _matches(folder, rest)
    elif _MAGIC.search(part):
        for entry in _entries(base):
            if _fits(entry.name, part) and (not rest or _is_folder(entry)):
                yield from _matches(base / entry.name, rest)
    elif _status(base / part) is not None:
        yield from _matches(base / part, rest)


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatch(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _walk(top: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder from `top` down, with the files in it; a folder that has several names is entered once."""
    seen: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        status = _status(folder)
        if status is None or (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        files: list[Path] = []
        folders: list[Path] = []
        for entry in _entries(folder):
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                folders.append(folder / entry.name)
            elif _is_file(entry):
                files.append(folder / entry.name)
        yield folder, files
        waiting += reversed(folders)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, in order of name; nothing if `folder` is a file or is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(folder, error) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise unreadable(Path(entry.path), error) from None


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file with data, not a pipe or a socket; CorpusError if it is a link that leads nowhere."""
    if entry.is_symlink() and _status(Path(entry.path)) is None:
        raise CorpusError(_broken(Path(entry.path)))
    return entry.is_file()


def _status(path: Path) -> os.stat_result | None:
    """The status of what `path` leads to; None if nothing is there."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null character in the name
        return None
    except OSError as error:
        raise unreadable(path, error) from None


def _broken(path: Path) -> str:
    return f"{path} is a link to a file that does not exist: restore that file or remove the link"
