"""Open a file, compressed or not, as a stream of its plain bytes.

Memory holds pieces of about 1 MiB, however large the file is.
"""

import io
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from bytegap.corpus._paths import unreadable
from bytegap.errors import CorpusError

CHUNK_BYTES = 1 << 20

COMPRESSIONS = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bz2",
    ".xz": "xz",
}
"""The compression that an ending stands for, of those that are read."""

_COMPRESSED = {
    ".br",
    ".bz",
    ".bz3",
    ".lrz",
    ".lz",
    ".lz4",
    ".lzma",
    ".lzo",
    ".rz",
    ".snappy",
    ".sz",
    ".z",
    ".zlib",
    ".zz",
}
_ARCHIVES = {".7z", ".ace", ".arc", ".arj", ".cab", ".lha", ".lzh", ".rar", ".tar", ".xar", ".zip", ".zipx", ".zpaq"}
_TARS = {".taz", ".tbz", ".tbz2", ".tgz", ".tlz", ".txz", ".tz2", ".tzst"}
REFUSED = _COMPRESSED | _ARCHIVES | _TARS
"""Endings of compressed files and of archives, which are not read."""


@contextmanager
def opened(file: Path, compression: str | None) -> Iterator[BinaryIO]:
    """The plain bytes of `file`; CorpusError, also later as they are read, if it cannot be read or decompressed."""
    try:
        with io.BufferedReader(_raw(file, compression), CHUNK_BYTES) as stream:
            yield stream
    except (pa.ArrowException, lzma.LZMAError, EOFError) as error:
        raise torn(file, error) from None
    except OSError as error:
        # The system gives its errors a number; Arrow gives none to those of its decompressors.
        raise (torn(file, error) if error.errno is None else unreadable(file, error)) from None


def torn(file: Path, error: Exception) -> CorpusError:
    """The error for a file whose bytes do not follow the format of its ending."""
    ending = "".join(file.suffixes[-2:] if file.suffix.lower() in COMPRESSIONS else file.suffixes[-1:])
    return CorpusError(
        f"{file} is not what its ending '{ending}' says, or is cut short ({error}): fetch it again or rename it"
    )


def _raw(file: Path, compression: str | None) -> Any:
    if compression is not None and not file.stat().st_size:
        message = "it has no bytes"
        raise EOFError(message)
    if compression == "xz":
        return _Xz(file)
    # Arrow's streams say so when a compressed file is cut short, and read on across frames.
    return pa.input_stream(file, compression=compression)


class _Xz(io.RawIOBase):
    """The plain bytes of an xz file. `lzma.LZMAFile` would ignore what is wrong behind its first stream."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb")
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as one call of the decoder does; 0 at the end of the file."""
        while True:
            if self._decoder.eof:
                behind = self._behind(self._decoder.unused_data)
                if not behind:
                    return 0
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            else:
                behind = self._file.read(CHUNK_BYTES) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not behind:
                    message = "the end of the compressed data is missing"
                    raise EOFError(message)
            piece = self._decoder.decompress(behind, len(buffer))
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _behind(self, unused: bytes) -> bytes:
        """What follows a stream, without the zeros that may pad it."""
        behind = unused.lstrip(b"\0")
        while not behind:
            data = self._file.read(CHUNK_BYTES)
            if not data:
                break
            behind = data.lstrip(b"\0")
        return behind
