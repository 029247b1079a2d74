"""Memory-mapped arrays on disk, raw and little-endian, each described by an `ArrayFile` with its checksum."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import StoreError
from bytegap.records import ArrayFile, Split
from bytegap.store import file_digest

_DTYPES = ("uint8", "uint16", "uint32", "uint64")


def smallest_dtype(largest: int) -> str:
    """The narrowest unsigned type that holds `largest`."""
    return next(name for name in _DTYPES if largest <= np.iinfo(name).max)


def write_array(folder: Path, file: str, dtype: str, pieces: Iterable[NDArray[np.generic] | bytes]) -> ArrayFile:
    """Write pieces end to end as `folder/file`; memory holds two pieces at a time, one of them being hashed."""
    checksum, n_bytes = hashlib.sha256(), 0
    with (folder / file).open("wb") as out, ThreadPoolExecutor(1) as aside:
        hashed = aside.submit(checksum.update, b"")
        for piece in pieces:
            data = piece if isinstance(piece, bytes) else np.ascontiguousarray(piece, _little(dtype)).data.cast("B")
            hashed.result()
            hashed = aside.submit(checksum.update, data)
            n_bytes += len(data)
            out.write(data)
    length = n_bytes // np.dtype(dtype).itemsize
    return ArrayFile.model_validate({"file": file, "dtype": dtype, "length": length, "sha256": checksum.hexdigest()})


def read_array(folder: Path, array: ArrayFile) -> NDArray[np.generic]:
    """Map an array read-only; StoreError if the file is missing or not as long as it was."""
    path = folder / array.file
    expected = array.length * np.dtype(array.dtype).itemsize
    if not path.is_file() or path.stat().st_size != expected:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "missing"
        message = f"{path}: {found}, {expected} bytes expected: delete its folder and make it again"
        raise StoreError(message)
    if not expected:
        return np.empty(0, _little(array.dtype))
    return np.memmap(path, dtype=_little(array.dtype), mode="r")


def verify(folder: Path, array: ArrayFile) -> None:
    """StoreError if the file's bytes are not those that were written."""
    read_array(folder, array)
    if file_digest(folder / array.file) != array.sha256:
        message = f"{folder / array.file}: checksum differs from its manifest: delete its folder and make it again"
        raise StoreError(message)


def _little(dtype: str) -> np.dtype[np.generic]:
    return np.dtype(dtype).newbyteorder("<")


def pieces_of(folder: Path, array: ArrayFile, length: int) -> Iterator[NDArray[np.generic]]:
    """An array in pieces of `length`, one in memory at a time: a map would stay resident as far as it was read."""
    read_array(folder, array)  # as long as it was
    with (folder / array.file).open("rb") as file:
        while len(piece := np.fromfile(file, _little(array.dtype), length)):
            yield piece


def documents_of(folder: Path, split: Split) -> Iterator[bytes]:
    """The documents of one split of the corpus in `folder`, in their order, one in memory at a time."""
    read_array(folder, split.text)
    with (folder / split.text.file).open("rb") as text:
        begin = 0
        for end in map(int, read_array(folder, split.ends)):
            yield text.read(end - begin)
            begin = end
