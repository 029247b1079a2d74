"""Compressors: their bytes give the text back to the libraries' decoders, and are as many as the tools write."""

import bz2
import lzma
import random
import re
import shutil
import subprocess
import zlib

import brotli
import pyppmd
import pytest
import zstandard

from bytegap.baselines import compressors
from bytegap.baselines.compressors import COMPRESSORS
from tests.helpers.tiny_study import write_text

ZSTD_BARE = {"format": zstandard.FORMAT_ZSTD1_MAGICLESS}
RAW_LZMA2 = [{"id": lzma.FILTER_LZMA2, "preset": 9}]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    write_text(folder, documents=150)
    stray = random.Random(1).randbytes(2000)  # neither UTF-8 nor compressible
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir())) + stray


def ppmd(packed, n_bytes, order, memory):
    decoder = pyppmd.Ppmd7Decoder(order, memory)
    text = decoder.decode(packed, n_bytes)
    while len(text) < n_bytes:  # it asks for one byte past the end
        text += decoder.decode(b"\0", n_bytes - len(text))
    return text


def unpacked(name, packed, n_bytes, memory=1630 << 20):
    match name.split():
        case ["gzip", _]:
            return zlib.decompress(packed, 31)
        case ["bzip2", _]:
            return bz2.decompress(packed)
        case ["xz", _]:
            return lzma.decompress(packed, lzma.FORMAT_XZ)
        case ["zstd", *_]:
            return zstandard.ZstdDecompressor().decompress(packed)
        case ["brotli", *_]:
            return brotli.decompress(packed)
        case ["PPMd", order]:
            return ppmd(packed, n_bytes, int(order[1:]), memory)


def opened(name, packed, n_bytes):
    """A window's bytes, without what its length and format say."""
    if name == "gzip -9":
        return zlib.decompress(packed, -15)
    if name == "xz -9e":
        return lzma.decompress(packed, lzma.FORMAT_RAW, filters=RAW_LZMA2)
    if name.startswith("zstd"):
        return zstandard.ZstdDecompressor(**ZSTD_BARE).decompress(packed, max_output_size=n_bytes)
    return unpacked(name, packed, n_bytes)


@pytest.mark.parametrize("name", COMPRESSORS)
def test_packed_text_comes_back(text, name):
    packed = COMPRESSORS[name].file(text)
    assert len(packed) < len(text) / 2
    # PPMd's memory is in the archive's headers; as 7-Zip chooses it.
    assert unpacked(name, packed, len(text), next(1 << i for i in range(16, 32) if 16 * len(text) <= 1 << i)) == text


@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("n_bytes", [1, 72, 5000])
def test_a_window_comes_back_and_is_no_longer_than_a_file(text, name, n_bytes):
    window = text[100 : 100 + n_bytes]
    packed = COMPRESSORS[name].window(window)
    assert opened(name, packed, n_bytes) == window
    assert len(packed) <= len(COMPRESSORS[name].file(window))


def test_window_forms_carry_no_container(text):
    # What the formats' documents say of header, checksum and length: RFC 1952, RFC 8878, xz-file-format.
    window = text[:72]
    assert len(COMPRESSORS["gzip -9"].window(window)) == len(COMPRESSORS["gzip -9"].file(window)) - 18
    assert len(COMPRESSORS["zstd -19"].window(window)) <= len(COMPRESSORS["zstd -19"].file(window)) - 8
    assert len(COMPRESSORS["xz -9e"].window(window)) <= len(COMPRESSORS["xz -9e"].file(window)) - 48


def parts(name, text, cut=40_000):
    return text[:cut][-COMPRESSORS[name].prime_bytes :], [text[cut + at : cut + at + 90] for at in range(0, 7200, 90)]


def test_gzip_and_zstd_open_with_the_prime_as_dictionary(text):
    prime, windows = parts("gzip -9", text)
    packed = [compressors._deflate(window, prime=prime) for window in windows]
    for window, each in zip(windows, packed, strict=True):
        decoder = zlib.decompressobj(-15, zdict=prime)
        assert decoder.decompress(each) + decoder.flush() == window
    assert COMPRESSORS["gzip -9"].after(prime, windows) == list(map(len, packed))
    for name, level in (("zstd -19", 19), ("zstd --ultra -22", 22)):
        prime, windows = parts(name, text)
        long = text * (1 + (1 << 17) // len(text))
        pack = compressors._zstd_with(level, prime)
        dictionary = zstandard.ZstdCompressionDict(prime, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        decoder = zstandard.ZstdDecompressor(dict_data=dictionary, **ZSTD_BARE)
        for each in [*windows, long]:
            assert decoder.decompress(pack(each), max_output_size=len(each)) == each
        assert COMPRESSORS[name].after(prime, [*windows, long]) == [len(pack(each)) for each in [*windows, long]]


def _ppmd(text, order):
    packer = pyppmd.Ppmd7Encoder(order, 1630 << 20)
    return b"".join(packer.encode(text[at : at + 1000]) for at in range(0, len(text), 1000)) + packer.flush()


def _brotli(prime, text):
    packer = brotli.Compressor(quality=11, lgwin=24)
    return packer.process(prime) + packer.flush() + (packer.process(text) if text else b"") + packer.finish()


# A fresh stream over prime and text, with nothing forked.
FRESH = {
    "xz -9e": lambda prime, text: lzma.compress(prime + text, preset=9 | lzma.PRESET_EXTREME),
    "brotli -q 11": _brotli,
    **{f"PPMd o{order}": lambda prime, text, order=order: _ppmd(prime + text, order) for order in (6, 11, 16)},
}


@pytest.mark.parametrize("name", FRESH)
def test_what_a_text_adds_is_the_difference_of_two_streams(text, name):
    prime, windows = parts(name, text)
    windows.append(text[50_000:60_000])
    ends = compressors.prime_ends(prime) if name != "brotli -q 11" else [len(prime)]
    sizes = COMPRESSORS[name].after(prime, windows)
    for number in (0, 1, 63, 64, 80):
        head = prime[: ends[number % len(ends)]]
        with_it, without = FRESH[name](head, windows[number]), FRESH[name](head, b"")
        assert sizes[number] == len(with_it) - len(without)
        assert unpacked(name, with_it, len(head + windows[number])) == head + windows[number]


def test_primes_end_where_words_end(text):
    ends = compressors.prime_ends(text[:40_000])
    assert len(ends) == len(set(ends)) == 64
    assert ends == sorted(ends)
    assert ends[-1] == 40_000
    assert {text[end - 1] for end in ends[:-1]} == {ord(" ")}
    assert compressors.prime_ends(b"x" * 1000) == list(range(937, 1001))
    assert compressors.prime_ends(b"one") == [1, 2, 3]
    assert compressors.prime_ends(b"") == [0]


def test_ppmd_keeps_a_byte_that_its_library_loses():
    noise = random.Random(2).randbytes(33_000)  # found by trying: whole, it is packed to a byte too few
    assert unpacked("PPMd o6", COMPRESSORS["PPMd o6"].file(noise), len(noise), 1 << 20) == noise


def test_a_lost_copy_is_no_size():
    with pytest.raises(MemoryError):
        compressors._forked(lambda: bytes(1 / 0))


def size_by(tool, *flags, text):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    return len(subprocess.run([tool, *flags], input=text, capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    ("name", "tool", "flags"),
    [
        ("bzip2 -9", "bzip2", ["-9"]),
        ("xz -9e", "xz", ["-9e", "-T1"]),
    ],
)
def test_sizes_are_those_of_the_tools(text, name, tool, flags):
    assert len(COMPRESSORS[name].file(text)) == size_by(tool, *flags, text=text)


def test_gzip_is_within_a_few_bytes_of_the_tool(text):
    # GNU gzip ends its blocks elsewhere than zlib does: 2 bytes of 4,042,563 on the State of the Union.
    assert len(COMPRESSORS["gzip -9"].file(text)) == pytest.approx(size_by("gzip", "-9", text=text), rel=1e-4)


def test_brotli_is_the_tool(text, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(text)
    assert len(COMPRESSORS["brotli -q 11"].file(text)) == size_by("brotli", "-q", "11", "-c", str(path), text=b"")


@pytest.mark.parametrize(("name", "flags"), [("zstd -19", ["-19"]), ("zstd --ultra -22", ["--ultra", "-22"])])
def test_zstd_is_the_tool_of_its_version(text, tmp_path, name, flags):
    path = tmp_path / "text"
    path.write_bytes(text)
    tool = size_by("zstd", *flags, "-q", "-c", str(path), text=b"")
    frame = zstandard.get_frame_parameters(COMPRESSORS[name].file(text))
    assert (frame.has_checksum, frame.content_size) == (True, len(text))  # as the tool's, whatever its version
    version = subprocess.run(["zstd", "--version"], capture_output=True, text=True, check=True).stdout
    same = re.search(r"v([\d.]+)", version).group(1) == ".".join(map(str, zstandard.ZSTD_VERSION))
    assert len(COMPRESSORS[name].file(text)) == (tool if same else pytest.approx(tool, rel=2e-3))


@pytest.mark.parametrize("order", [6, 10, 16])
def test_ppmd_is_what_7zip_packs(text, tmp_path, order):
    tool = next((name for name in ("7zz", "7z") if shutil.which(name)), "7zz")
    path, archive = tmp_path / "text", tmp_path / "text.7z"
    path.write_bytes(text)
    size_by(tool, "a", f"-m0=PPMd:o={order}:mem=1630m", str(archive), str(path), text=b"")
    listed = subprocess.run([tool, "l", "-slt", str(archive)], capture_output=True, text=True, check=True).stdout
    size = int(re.search(r"Packed Size = (\d+)", listed).group(1))
    # The signature header is 32 bytes long, and the packed stream comes next (7zFormat.txt).
    assert COMPRESSORS[f"PPMd o{order}"].file(text) == archive.read_bytes()[32 : 32 + size]
