"""Split documents into train, validation and test by the hash of their bytes; drop exact duplicates and empty ones.

Writes `SPLIT.bin`, the documents end to end, and `SPLIT.ends`, where each ends. Inside a split documents are in the
order of their SHA-256: a shuffle that depends on the text alone, and is the same for every arm.

Memory holds two documents, and 48 bytes of each other: documents wait in a spool on disk until their order is known.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, get_args

import numpy as np
from numpy.typing import NDArray

from bytegap.console import track
from bytegap.errors import CorpusError
from bytegap.io.arrays import write_array
from bytegap.schema.data import Split, SplitName

_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Spool:
    """Documents as they were read, end to end in one file, and their index."""

    path: Path
    digests: NDArray[np.bytes_]
    ends: NDArray[np.uint64]
    empty: int

    @property
    def documents_read(self) -> int:
        """Documents of the source, empty and repeated ones included."""
        return len(self.digests) + self.empty


def spool(documents: Iterable[bytes], path: Path) -> Spool:
    """Write documents to `path` as they are read, and index them; empty ones are only counted."""
    digests, ends, empty, end = bytearray(), bytearray(), 0, 0
    with path.open("wb") as file:
        for document in track(documents, "reading documents"):
            if not document:
                empty += 1
                continue
            file.write(document)
            end += len(document)
            digests += hashlib.sha256(document).digest()
            ends += end.to_bytes(8, "little")
    return Spool(
        path=path,
        digests=np.frombuffer(digests, f"S{_DIGEST_BYTES}"),
        ends=np.frombuffer(ends, "<u8"),
        empty=empty,
    )


def write_splits(spooled: Spool, folder: Path, *, validation: float, test: float) -> dict[SplitName, Split]:
    """Write the three splits to `folder`; CorpusError if one of them comes out empty.

    A document's hash is u = (first 8 bytes of its SHA-256) / 2^64: test below `test`, validation below
    `test + validation`, train above. In hash order each split is therefore contiguous.
    """
    order = np.argsort(spooled.digests, kind="stable")
    digests = spooled.digests[order]
    first = np.ones(len(digests), dtype=bool)
    first[1:] = digests[1:] != digests[:-1]
    order, digests = order[first], digests[first]
    u = _leading_u64(digests) / 2.0**64
    begin_validation, begin_train = np.searchsorted(u, [test, test + validation])
    members: dict[SplitName, NDArray[np.intp]] = {
        "train": order[begin_train:],
        "validation": order[begin_validation:begin_train],
        "test": order[:begin_validation],
    }
    for name in get_args(SplitName):
        if not len(members[name]):
            raise CorpusError(_too_little(name, len(order), validation=validation, test=test))
    with spooled.path.open("rb") as file:
        return {name: _write(file, spooled, folder, name, members[name]) for name in members}


def _write(file: BinaryIO, spooled: Spool, folder: Path, name: SplitName, members: NDArray[np.intp]) -> Split:
    ends = spooled.ends[members].astype(np.int64)
    begins = np.where(members > 0, spooled.ends[members - 1].astype(np.int64), 0)

    def texts() -> Iterator[bytes]:
        # Reads, not a memory map: the spool's pages would count as this process's memory.
        offsets = zip(begins.tolist(), ends.tolist(), strict=True)
        for begin, end in track(offsets, f"writing {name}", total=len(members)):
            file.seek(begin)
            yield file.read(end - begin)

    text = write_array(folder, f"{name}.bin", "uint8", texts())
    split_ends = write_array(folder, f"{name}.ends", "uint64", [np.cumsum(ends - begins)])
    return Split(text=text, ends=split_ends, documents=len(members), bytes=text.length)


def _leading_u64(digests: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first 8 bytes of each digest as a big-endian number: the same order as the digests."""
    return digests.view(np.uint8).reshape(-1, _DIGEST_BYTES)[:, :8].copy().view(">u8").ravel()


def _too_little(name: SplitName, documents: int, *, validation: float, test: float) -> str:
    if name == "train":
        fix = f"lower [corpus] validation = {validation} or test = {test}"
    else:
        fix = f"raise [corpus] {name} = {validation if name == 'validation' else test}"
    count = f"{documents} distinct document{'' if documents == 1 else 's'}"
    return f"the {name} split is empty, of {count}: {fix}, or give text in more documents"
