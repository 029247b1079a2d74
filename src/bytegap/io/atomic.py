"""Atomic writes: a file or a folder appears complete or not at all. Also the checksum of a file."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from bytegap.errors import StudyDirError


@contextlib.contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """A temporary file to write to, in the folder of `path`.

    When the block ends it is synced to disk and replaces `path`; when the block raises it is deleted. StudyDirError
    where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space(path) from None
        raise


def no_space(path: Path) -> StudyDirError:
    """The error for a full disk."""
    return StudyDirError(f"{path}: no space left on the disk: free some, then repeat the command, which continues")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; it is on disk when this returns."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replace_dir(path: Path) -> Generator[Path]:
    """A new folder to fill, which replaces `path` when the block ends, and is deleted when the block raises."""
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


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
