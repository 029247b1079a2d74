"""Open a file, compressed or not, as a stream of its plain bytes.

At most about 1 MiB is in memory, however large the file is.
"""

import io
import lzma
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from bytegap.data.file_paths import unreadable
from bytegap.errors import CorpusError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 1 << 20
ARROW_ERROR = cast("type[Exception]", pa.ArrowException)
"""What pyarrow raises for data that it cannot read."""

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
def open_plain(file: Path, compression: str | None) -> Generator["io.BufferedReader[io.RawIOBase]"]:
    """The plain bytes of `file`; CorpusError, also later as they are read, if it cannot be read or decompressed."""
    try:
        with io.BufferedReader(_raw(file, compression), CHUNK_BYTES) as stream:
            yield stream
    except (ARROW_ERROR, lzma.LZMAError, EOFError) as error:
        raise torn(file, error) from None
    except OSError as error:
        # The system gives its errors a number; Arrow gives none to those of its decompressors.
        raise (torn(file, error) if error.errno is None else unreadable(file, error)) from None


def torn(file: Path, error: Exception) -> CorpusError:
    """The error for a file whose bytes do not follow the format of its ending."""
    if "requires too much memory" in str(error):  # zstd --long=31, beyond the 128 MiB that decoders allow
        return CorpusError(
            f"{file} is compressed with a window too long to be read: decompress it with 'zstd -d --long=31' first"
        )
    ending = "".join(file.suffixes[-2:] if file.suffix.lower() in COMPRESSIONS else file.suffixes[-1:])
    return CorpusError(
        f"{file} is not what its ending '{ending}' says, or is cut short ({error}): fetch it again or rename it"
    )


def _raw(file: Path, compression: str | None) -> io.RawIOBase:
    """The plain bytes of the file, unbuffered."""
    if compression is not None and not file.stat().st_size:
        raise EOFError("it has no bytes")
    if compression == "xz":
        return _Xz(file)
    # Arrow's streams raise an error when a compressed file is cut short, and read on across frames.
    return cast("io.RawIOBase", pa.input_stream(file, compression=compression))


class _Xz(io.RawIOBase):
    """The plain bytes of an xz file. `lzma.LZMAFile` would ignore what is wrong behind its first stream."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb")
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` as far as one call of the decoder does; 0 at the end of the file."""
        view = memoryview(buffer).cast("B")
        while True:
            if self._decoder.eof:
                behind = self._behind(self._decoder.unused_data)
                if not behind:
                    return 0
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            else:
                behind = self._file.read(CHUNK_BYTES) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not behind:
                    raise EOFError("the end of the compressed data is missing")
            piece = self._decoder.decompress(behind, len(view))
            if piece:
                view[: len(piece)] = piece
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
