"""Arrays on disk, raw and little-endian, memory-mapped when read; an `ArrayFile` describes each with its checksum."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import StudyDirError
from bytegap.io.atomic import file_sha256
from bytegap.schema.base import ArrayFile
from bytegap.schema.data import Split

_DTYPES = ("uint8", "uint16", "uint32", "uint64")


def smallest_dtype(largest: int) -> str:
    """The narrowest unsigned integer type that can hold `largest`."""
    return next(name for name in _DTYPES if largest <= np.iinfo(name).max)


def write_array(folder: Path, file: str, dtype: str, pieces: Iterable[NDArray[np.generic] | bytes]) -> ArrayFile:
    """Write pieces one after another to `folder/file`.

    Two pieces are in memory at a time: the second is written while the first is hashed.
    """
    checksum, n_bytes = hashlib.sha256(), 0
    with (folder / file).open("wb") as out, ThreadPoolExecutor(1) as hasher:
        hashed = hasher.submit(checksum.update, b"")
        for piece in pieces:
            data = piece if isinstance(piece, bytes) else np.ascontiguousarray(piece, _little(dtype)).data.cast("B")
            hashed.result()
            hashed = hasher.submit(checksum.update, data)
            n_bytes += len(data)
            out.write(data)
    length = n_bytes // np.dtype(dtype).itemsize
    return ArrayFile.model_validate({"file": file, "dtype": dtype, "length": length, "sha256": checksum.hexdigest()})


def read_array(folder: Path, array: ArrayFile) -> NDArray[np.generic]:
    """Map an array read-only; StudyDirError if the file is missing or does not have its length."""
    path = folder / array.file
    expected = array.length * np.dtype(array.dtype).itemsize
    if not path.is_file() or path.stat().st_size != expected:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "missing"
        raise StudyDirError(f"{path}: {found}, {expected} bytes expected: delete its folder and make it again")
    if not expected:
        return np.empty(0, _little(array.dtype))
    return np.memmap(path, dtype=_little(array.dtype), mode="r")


def verify(folder: Path, array: ArrayFile) -> None:
    """StudyDirError if the file is missing or does not have its checksum."""
    read_array(folder, array)
    if file_sha256(folder / array.file) != array.sha256:
        raise StudyDirError(
            f"{folder / array.file}: checksum differs from its manifest: delete its folder and make it again"
        )


def pieces_of(folder: Path, array: ArrayFile, length: int) -> Iterator[NDArray[np.generic]]:
    """An array in pieces of `length`, one in memory at a time: of a mapped array, all that was read stays resident."""
    read_array(folder, array)  # checks its length
    with (folder / array.file).open("rb") as file:
        while len(piece := np.fromfile(file, _little(array.dtype), length)):
            yield piece


def documents_of(folder: Path, split: Split) -> Iterator[bytes]:
    """The documents of one split of the corpus in `folder`, in order, one in memory at a time."""
    read_array(folder, split.text)  # checks its length
    with (folder / split.text.file).open("rb") as text:
        begin = 0
        for end in map(int, read_array(folder, split.ends)):
            yield text.read(end - begin)
            begin = end


def _little(dtype: str) -> np.dtype[np.generic]:
    return np.dtype(dtype).newbyteorder("<")
