"""General-purpose compressors: what each writes of a text, alone or after another text that its reader has too.

Three forms, all of them bytes: `file` is what the command-line tool writes, `window` the least that the format allows
(no magic number, checksum or length where it can do without), `after` what a text adds to one that was read before.

gzip -9                `window` is raw deflate; `after` is with zlib's preset dictionary, 32 KB
bzip2 -9               no less than the file; nothing after another text, as each block is sorted by itself
xz -9e                 raw LZMA2; the same stream goes on
zstd -19, --ultra -22  a frame without magic number, checksum and length; a dictionary of raw content
brotli -q 11           the file, whose header is some bits; the same stream goes on, flushed between
PPMd o6 to o16         variant H with 1630 MB, as in 7-Zip, archive's headers not counted; the same stream goes on

Sizes are those of the tools where the libraries are of the same version; GNU gzip is not zlib, and a few bytes in a
million away. Reads nothing, writes nothing.
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
from types import ModuleType
from typing import Any

from bytegap.errors import EvaluateError

Pack = Callable[[bytes], bytes]
"""A text's compressed form."""

After = Callable[[bytes, Sequence[bytes]], list[int]]
"""Of a prime and texts: the bytes that each text, by itself, adds after the prime."""

PRIME_BYTES = 64 << 20
"""Of a prime at most: what xz -9e looks back."""
ORDERS = range(6, 17)
_PPMD_MEMORY_BYTES = 1630 << 20
"""What a published size was made with; touched only as far as a text needs it."""
_BROTLI_PRIME_BYTES = 4 << 20
"""At quality 11 a megabyte takes seconds."""
_PIECE_BYTES = 1 << 14
_WORDS = 64
"""Of a prime's last ones, at most: evened out over so many, rounding to bytes is a thirtieth of a byte a text."""
_PACKAGES = ("brotli", "pyppmd", "zstandard")
_MANY_BYTES = 1 << 17
"""From here on a zstd frame has parameters of its own, not those that a dictionary was prepared with."""


@dataclass(frozen=True)
class Compressor:
    """One format at one level, by the name of its command."""

    name: str
    file: Pack
    window: Pack
    after: After | None
    prime_bytes: int = PRIME_BYTES
    """Of a prime, the last so many are used."""


def check() -> None:
    """EvaluateError if a package that a compressor needs is not installed."""
    for package in _PACKAGES:
        _library(package)


def versions() -> dict[str, str]:
    """Of the libraries that say theirs: sizes depend on them."""
    return {"zlib": zlib.ZLIB_RUNTIME_VERSION} | {package: version(package) for package in _PACKAGES}


def _library(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError:
        message = (
            f"the compressors need the package {package}, which is not installed: pip install 'bytegap[baselines]'"
        )
        raise EvaluateError(message) from None


def _deflate(text: bytes, *, bits: int = -15, prime: bytes = b"") -> bytes:
    """Of the largest window, log2 of it: below 0 without a header, plus 16 with gzip's header and trailer."""
    packer = partial(zlib.compressobj, 9, zlib.DEFLATED, bits, 9)  # the second 9: buffers as large as GNU gzip's
    packer = packer(zdict=prime) if prime else packer()
    return packer.compress(text) + packer.flush()


def _deflate_after(prime: bytes, texts: Sequence[bytes]) -> list[int]:
    return [len(_deflate(text, prime=prime)) for text in texts]


def _xz_window(text: bytes) -> bytes:
    # As far back as the text goes and no farther: the same bytes as under -9's 64 MB, which take long to prepare.
    lzma2 = {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": min(max(4096, len(text)), 64 << 20),
    }
    return lzma.compress(text, lzma.FORMAT_RAW, filters=[lzma2])


def _xz_after(prime: bytes, texts: Sequence[bytes]) -> list[int]:
    packer = lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME)
    return _going_on(packer.compress, packer.flush, prime, texts)


def _zstd(level: int, text: bytes) -> bytes:
    return _library("zstandard").ZstdCompressor(level=level, write_checksum=True).compress(text)


def _zstd_bare(level: int, text_bytes: int, prime_bytes: int = 0) -> Any:
    """Parameters of a frame with nothing but its blocks."""
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


def _zstd_with(level: int, prime: bytes) -> Pack:
    zstandard = _library("zstandard")
    dictionary, prepared = (
        zstandard.ZstdCompressionDict(prime, dict_type=zstandard.DICT_TYPE_RAWCONTENT) for _ in range(2)
    )
    few = _zstd_bare(level, 1024, len(prime))
    prepared.precompute_compress(compression_params=few)
    of_few = zstandard.ZstdCompressor(dict_data=prepared, compression_params=few)

    def pack(text: bytes) -> bytes:
        if len(text) < _MANY_BYTES:
            return of_few.compress(text)
        many = _zstd_bare(level, len(text), len(prime))
        return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=many).compress(text)

    return pack


def _zstd_after(level: int, prime: bytes, texts: Sequence[bytes]) -> list[int]:
    return list(map(len, map(_zstd_with(level, prime), texts)))


def _brotli(text: bytes) -> bytes:
    return _library("brotli").compress(text, quality=11, lgwin=24)


def _brotli_after(prime: bytes, texts: Sequence[bytes]) -> list[int]:
    packer = _library("brotli").Compressor(quality=11, lgwin=24)
    packer.process(prime)
    packer.flush()  # to a whole byte; else every text would have the last megabytes packed anew with it
    return _going_on(packer.process, packer.finish, b"", texts)


def _ppmd(order: int, text: bytes, memory_bytes: int) -> bytes:
    feed, finish = _ppmd_packer(order, memory_bytes)
    return feed(text) + finish()


def _ppmd_packer(order: int, memory_bytes: int) -> tuple[Pack, Callable[[], bytes]]:
    packer = _library("pyppmd").Ppmd7Encoder(order, memory_bytes)

    def feed(text: bytes) -> bytes:
        # pyppmd 1.3.1 may lose a byte, and with it the text, where what one call writes passes a multiple of 32 KB.
        pieces = range(0, len(text), _PIECE_BYTES)
        return b"".join(packer.encode(text[begin : begin + _PIECE_BYTES]) for begin in pieces)

    return feed, packer.flush


def _ppmd_file(order: int, text: bytes) -> bytes:
    # 7-Zip takes no more than the power of two from 16 bytes a byte of text on, and a model that fills it begins anew.
    enough = 1 << max(16, (16 * len(text) - 1).bit_length())
    return _ppmd(order, text, min(enough, _PPMD_MEMORY_BYTES))


def _ppmd_window(order: int, text: bytes) -> bytes:
    # A model takes less than 64 bytes a byte and order: while all of it fits, more memory changes nothing.
    return _ppmd(order, text, min(64 * order * (len(text) + 256), _PPMD_MEMORY_BYTES))


def _ppmd_after(order: int, prime: bytes, texts: Sequence[bytes]) -> list[int]:
    return _going_on(*_ppmd_packer(order, _PPMD_MEMORY_BYTES), prime, texts)


def _going_on(feed: Pack, finish: Callable[[], bytes], prime: bytes, texts: Sequence[bytes]) -> list[int]:
    """size(prime + text) - size(prime) of each text: a forked process, which shares the state after the prime, goes on.

    A difference of whole bytes is off by up to half a byte, all from one place in the stream alike. Texts therefore go
    on from each of the places in turn, at which the last words of the prime end.
    """
    sizes = [0] * len(texts)
    places = stops(prime)
    before = max(0, places[0] - 1)  # liblzma encodes what it was given when it is given more: one byte is kept for that
    feed(prime[:before])
    for number, place in enumerate(places):
        if place > before:
            feed(prime[before:place])
        before = place
        closing_bytes = len(_forked(finish))
        for which in range(number, len(texts), len(places)):
            sizes[which] = len(_forked(lambda text=texts[which]: feed(text) + finish())) - closing_bytes
    return sizes


def stops(prime: bytes) -> list[int]:
    """Where texts go on from, ascending: the ends of the last words, or bytes where words are none; then the end."""
    from_ = max(1, len(prime) - _WORDS * 16)
    words = [place + 1 for place in range(from_, len(prime) - 1) if prime[place] == ord(" ")]
    found = words if len(words) >= _WORDS - 1 else list(range(max(1, len(prime) - _WORDS + 1), len(prime)))
    return [*found[-(_WORDS - 1) :], len(prime)]


def _forked(work: Callable[[], bytes]) -> bytes:
    """What `work` returns in a copy of this process; MemoryError where the copy does not live to say."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                out.write(work())
            os._exit(0)
        finally:  # whatever happened, this copy ends here
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
    for order in ORDERS:
        forms = (partial(_ppmd_file, order), partial(_ppmd_window, order), partial(_ppmd_after, order))
        found.append(Compressor(f"PPMd o{order}", *forms))
    return found


COMPRESSORS = {each.name: each for each in _all()}
"""In the order that they are shown."""
