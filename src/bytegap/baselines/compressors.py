"""General-purpose compressors: the compressed size of a text, alone or after another text that its reader knows.

Three forms, all of them sizes in bytes:
`file` is what the command-line tool writes.
`window` is the shortest form that the format allows: no magic number, checksum or length where it can do without.
`after` is what a text adds after a prime, a text that both sides know.

gzip -9                `window` is raw deflate; `after` uses zlib's preset dictionary, 32 KB
bzip2 -9               `window` is the file; no `after`, because each block is sorted by itself
xz -9e                 raw LZMA2; `after` continues the same stream
zstd -19, --ultra -22  a frame without magic number, checksum and length; `after` uses a dictionary of raw content
brotli -q 11           `window` is the file, whose header is a few bits; `after` continues the stream, flushed between
PPMd o6 to o16         variant H with 1630 MB, as in 7-Zip, archive headers not counted; `after` continues the stream

Sizes equal those of the tools where the libraries have the same version; GNU gzip is not zlib, and differs by a few
bytes in a million.
Continuing a stream forks the process, which needs Linux or macOS.
Reads and writes no files.
"""

import bz2
import importlib
import lzma
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from bytegap.errors import EvaluateError
from bytegap.extras import require

Compress = Callable[[bytes], bytes]
"""A text to its compressed form."""

SizesAfter = Callable[[bytes, Sequence[bytes]], list[int]]
"""(prime, texts) to the bytes that each text by itself adds after the prime."""

PRIME_BYTES = 64 << 20
"""The last so many bytes of a prime are used at most: the window of xz -9e."""
PPMD_ORDERS = range(6, 17)
_PPMD_MEMORY_BYTES = 1630 << 20
"""As in a published size; touched only as far as a text needs it."""
_BROTLI_PRIME_BYTES = 4 << 20
"""At quality 11 a megabyte takes seconds."""
_PPMD_PIECE_BYTES = 1 << 14
_PRIME_ENDS = 64
"""Ends of a prime from which texts continue in turn: rounding to bytes then averages to 1/30 of a byte a text."""
_LIBRARIES = ("brotli", "pyppmd", "zstandard")
_ZSTD_LONG_BYTES = 1 << 17
"""From here on a zstd frame has parameters of its own, not those that a dictionary was prepared with."""


@dataclass(frozen=True)
class Compressor:
    """One format at one level."""

    name: str
    """The command, such as `xz -9e`."""
    file: Compress
    window: Compress
    after: SizesAfter | None
    prime_bytes: int = PRIME_BYTES
    """The last so many bytes of a prime are used."""


def check() -> None:
    """MissingExtraError if a compressor's library is not installed, EvaluateError where processes cannot fork."""
    require("bytegap baselines", "baselines")
    if not hasattr(os, "fork"):
        raise EvaluateError(
            "compressors continue a stream in forked processes, which this operating system does not have: run "
            "'bytegap baselines' on Linux or macOS"
        )


def versions() -> dict[str, str]:
    """Versions of the libraries, on which sizes depend."""
    return {"zlib": zlib.ZLIB_RUNTIME_VERSION} | {library: version(library) for library in _LIBRARIES}


def _library(name: str) -> Any:  # a compression library; they have no type information
    return importlib.import_module(name)


def _deflate(text: bytes, *, bits: int = -15, prime: bytes = b"") -> bytes:
    """`bits` is log2 of the window: negative for no header, 16 more for gzip's header and trailer."""
    encoder = partial(zlib.compressobj, 9, zlib.DEFLATED, bits, 9)  # the second 9: buffers as large as GNU gzip's
    encoder = encoder(zdict=prime) if prime else encoder()
    return encoder.compress(text) + encoder.flush()


def _deflate_after(prime: bytes, texts: Sequence[bytes]) -> list[int]:
    return [len(_deflate(text, prime=prime)) for text in texts]


def _xz_window(text: bytes) -> bytes:
    # A dictionary as long as the text gives the same bytes as the 64 MB of -9, which take long to prepare.
    lzma2 = {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": min(max(4096, len(text)), 64 << 20),
    }
    return lzma.compress(text, lzma.FORMAT_RAW, filters=[lzma2])


def _xz_after(prime: bytes, texts: Sequence[bytes]) -> list[int]:
    encoder = lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME)
    return _sizes_after(encoder.compress, encoder.flush, prime, texts)


def _zstd(level: int, text: bytes) -> bytes:
    return _library("zstandard").ZstdCompressor(level=level, write_checksum=True).compress(text)


def _zstd_bare(level: int, text_bytes: int, prime_bytes: int = 0) -> object:
    """Parameters of a frame that has blocks only."""
    zstandard = _library("zstandard")
    return zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=text_bytes,
        dict_size=prime_bytes,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        write_checksum=False,
        write_content_size=False,
        write_dict_id=False,
    )


def _zstd_window(level: int, text: bytes) -> bytes:
    return _library("zstandard").ZstdCompressor(compression_params=_zstd_bare(level, len(text))).compress(text)


def _zstd_with(level: int, prime: bytes) -> Compress:
    zstandard = _library("zstandard")
    dictionary, prepared = (
        zstandard.ZstdCompressionDict(prime, dict_type=zstandard.DICT_TYPE_RAWCONTENT) for _ in range(2)
    )
    short = _zstd_bare(level, 1024, len(prime))
    prepared.precompute_compress(compression_params=short)
    short_compressor = zstandard.ZstdCompressor(dict_data=prepared, compression_params=short)

    def compress(text: bytes) -> bytes:
        if len(text) < _ZSTD_LONG_BYTES:
            return short_compressor.compress(text)
        long = _zstd_bare(level, len(text), len(prime))
        return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=long).compress(text)

    return compress


def _zstd_after(level: int, prime: bytes, texts: Sequence[bytes]) -> list[int]:
    return list(map(len, map(_zstd_with(level, prime), texts)))


def _brotli(text: bytes) -> bytes:
    return _library("brotli").compress(text, quality=11, lgwin=24)


def _brotli_after(prime: bytes, texts: Sequence[bytes]) -> list[int]:
    encoder = _library("brotli").Compressor(quality=11, lgwin=24)
    encoder.process(prime)
    encoder.flush()  # to a full byte; else each text would compress the last megabytes again
    return _sizes_after(encoder.process, encoder.finish, b"", texts)


def _ppmd(order: int, text: bytes, memory_bytes: int) -> bytes:
    feed, finish = _ppmd_encoder(order, memory_bytes)
    return feed(text) + finish()


def _ppmd_encoder(order: int, memory_bytes: int) -> tuple[Compress, Callable[[], bytes]]:
    encoder = _library("pyppmd").Ppmd7Encoder(order, memory_bytes)

    def feed(text: bytes) -> bytes:
        # pyppmd 1.3.1 may lose a byte, and so the text, where the output of one call passes a multiple of 32 KB.
        pieces = range(0, len(text), _PPMD_PIECE_BYTES)
        return b"".join(encoder.encode(text[begin : begin + _PPMD_PIECE_BYTES]) for begin in pieces)

    return feed, encoder.flush


def _ppmd_file(order: int, text: bytes) -> bytes:
    # 7-Zip's memory: the next power of two from 16 bytes a byte of text on. A model that fills it starts again.
    memory_bytes = 1 << max(16, (16 * len(text) - 1).bit_length())
    return _ppmd(order, text, min(memory_bytes, _PPMD_MEMORY_BYTES))


def _ppmd_window(order: int, text: bytes) -> bytes:
    # A model takes less than 64 bytes for each byte and order; memory beyond that changes nothing.
    return _ppmd(order, text, min(64 * order * (len(text) + 256), _PPMD_MEMORY_BYTES))


def _ppmd_after(order: int, prime: bytes, texts: Sequence[bytes]) -> list[int]:
    return _sizes_after(*_ppmd_encoder(order, _PPMD_MEMORY_BYTES), prime, texts)


def _sizes_after(feed: Compress, finish: Callable[[], bytes], prime: bytes, texts: Sequence[bytes]) -> list[int]:
    """size(prime + text) - size(prime) of each text, continued in a forked process that has the state after the prime.

    A difference of sizes in bytes is off by up to half a byte, equally for all texts that continue from the same point
    of the stream. Texts therefore continue from the ends of the prime's last words in turn.
    """
    sizes = [0] * len(texts)
    ends = prime_ends(prime)
    fed = max(0, ends[0] - 1)  # liblzma encodes what it has when it gets more: one byte is held back for that
    feed(prime[:fed])
    for number, end in enumerate(ends):
        if end > fed:
            feed(prime[fed:end])
        fed = end
        closing_bytes = len(_forked(finish))
        for index in range(number, len(texts), len(ends)):
            sizes[index] = len(_forked(lambda text=texts[index]: feed(text) + finish())) - closing_bytes
    return sizes


def prime_ends(prime: bytes) -> list[int]:
    """Where texts continue, ascending: after the prime's last words (after bytes, if it has no words), at its end."""
    first = max(1, len(prime) - _PRIME_ENDS * 16)
    words = [index + 1 for index in range(first, len(prime) - 1) if prime[index] == ord(" ")]
    enough = len(words) >= _PRIME_ENDS - 1
    ends = words if enough else list(range(max(1, len(prime) - _PRIME_ENDS + 1), len(prime)))
    return [*ends[-(_PRIME_ENDS - 1) :], len(prime)]


def _forked(work: Callable[[], bytes]) -> bytes:
    """What `work` returns in a copy of this process; MemoryError where the copy dies before it returns."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                out.write(work())
            os._exit(0)
        finally:  # the copy must end here, whatever happened
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as out:
        written = out.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise MemoryError
    return written


def _all() -> list[Compressor]:
    found = [
        Compressor("gzip -9", partial(_deflate, bits=31), _deflate, _deflate_after, 32 << 10),
        Compressor("bzip2 -9", bz2.compress, bz2.compress, None, 0),
        Compressor("xz -9e", partial(lzma.compress, preset=9 | lzma.PRESET_EXTREME), _xz_window, _xz_after),
    ]
    for name, level in (("zstd -19", 19), ("zstd --ultra -22", 22)):
        forms = (partial(_zstd, level), partial(_zstd_window, level), partial(_zstd_after, level))
        found.append(Compressor(name, *forms))
    found.append(Compressor("brotli -q 11", _brotli, _brotli, _brotli_after, _BROTLI_PRIME_BYTES))
    for order in PPMD_ORDERS:
        forms = (partial(_ppmd_file, order), partial(_ppmd_window, order), partial(_ppmd_after, order))
        found.append(Compressor(f"PPMd o{order}", *forms))
    return found


COMPRESSORS = {compressor.name: compressor for compressor in _all()}
"""By name, in the order of the tables."""
