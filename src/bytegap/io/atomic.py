"""Atomic writes: a file or a folder appears complete or not at all. Also the checksum of a file."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from bytegap.errors import BytegapError, CommandError, FileError, StudyDirError, file_error


@contextlib.contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """A temporary file to write to, in the folder of `path`.

    When the block ends it is synced to disk and replaces `path`; when the block raises it is deleted. StudyDirError
    where the disk is full, FileError where the system refuses; both name `path`.
    """
    check_is_file(path)
    with contextlib.ExitStack() as stack:
        with _naming(path, path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _naming(path):
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        stack.callback(temporary.unlink, missing_ok=True)
        with _naming(path, temporary):
            os.close(handle)
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)


def check_is_file(path: Path) -> None:
    """FileError if something other than a file is at `path`, such as a folder or a device, which would be replaced."""
    if path.is_dir():
        raise FileError(f"{path} is a folder: name a file")
    if path.exists() and not path.is_file():
        raise FileError(f"{path} is not a regular file, and would be replaced: name another path")


def check_output(out: Path, *inputs: Path) -> None:
    """CommandError if the command would overwrite one of its inputs, which are files or folders.

    FileError as in `check_is_file`. To be called before any work is done.
    """
    check_is_file(out)
    for source in inputs:
        if out.resolve() == source.resolve() or (out.exists() and source.exists() and out.samefile(source)):
            raise CommandError(f"{out} is what the command reads, and would be overwritten: name another file to write")
        if source.is_dir() and out.exists() and out.resolve().is_relative_to(source.resolve()):
            raise CommandError(f"{out} is in {source}, which the command reads: name a file elsewhere to write")


@contextlib.contextmanager
def _naming(path: Path, temporary: Path | None = None) -> Generator[None]:
    """Errors of the system that a user can correct name `path`, where they would name `temporary` or nothing."""
    try:
        yield
    except BytegapError as error:
        if temporary is None or str(temporary) not in str(error):
            raise
        raise type(error)(str(error).replace(str(temporary), str(path))) from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space(path) from None
        is_ours = error.filename is None or temporary is None or str(error.filename).startswith(str(temporary))
        refused = file_error(error, path if is_ours else None)
        if refused is None:
            raise
        raise refused from None


def no_space(path: Path) -> StudyDirError:
    """The error for a full disk."""
    return StudyDirError(f"{path}: no space left on the disk: free some, then repeat the command, which continues")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; it is on disk when this returns. Raises what `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replace_dir(path: Path) -> Generator[Path]:
    """A new folder to fill, which replaces `path` when the block ends, and is deleted when the block raises.

    Raises what `atomic_path` does.
    """
    with _naming(path, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path):
        building = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        with _naming(path, building):
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
