"""Paths as users write them, and as text that any output can hold."""

import os
from pathlib import Path

from bytegap.errors import FileError


def expanded(name: str | Path) -> Path:
    """The path with `~` expanded; FileError where there is no such home folder."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise FileError(
            f"{name}: there is no home folder for '{Path(name).parts[0]}': write the path out, or set HOME"
        ) from None


def as_text(path: Path) -> str:
    r"""The path as text that is valid Unicode: bytes of a name that are not UTF-8 are written as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
