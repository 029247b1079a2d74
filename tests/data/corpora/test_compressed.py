"""Compressed files are read by the ending beneath, JSON as lines or one value; what cannot be read so is refused."""

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from bytegap.data.corpora.files import Files
from bytegap.errors import CorpusError
from tests.data.corpora.reading import JSONL, TEXTS, error_of, read, write

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
PLAIN = {
    ".txt": (TEXTS[2].encode(), [TEXTS[2].encode()]),
    ".md": (b"# head", [b"# head"]),
    ".jsonl": (JSONL, [text.encode() for text in TEXTS]),
    ".json": (JSONL, [text.encode() for text in TEXTS]),
    ".log": ("Gruß".encode(), ["Gruß".encode()]),
    "": (b"a\x00 text", [b"a\x00 text"]),
}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("ending", PLAIN)
def test_a_compressed_file_is_read_by_the_ending_beneath(tmp_path: Path, ending: str, compression: str) -> None:
    data, expected = PLAIN[ending]
    compress = COMPRESS[compression]
    plain = write(tmp_path / f"plain{ending}{compression}", compress(data))
    parts = write(tmp_path / f"PARTS{ending}{compression}".upper(), compress(data[:1]) + compress(data[1:]))
    assert read(plain) == expected
    assert read(parts) == expected, "several streams, one after the other, are one file"


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".json"])
def test_a_damaged_compressed_file_is_named(tmp_path: Path, ending: str, compression: str) -> None:
    text = "".join(f'{{"text": "{i * i}"}}\n' for i in range(9999)).encode()
    good = COMPRESS[compression](text)
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0x55
    write(tmp_path / "b.txt", b"b")
    for bad in [b"", good[:3], good[:-3], good + good[:-3], good + b"more", bytes(flipped), b"not compressed"]:
        message = error_of(write(tmp_path / f"a{ending}{compression}", bad).parent)
        assert f"a{ending}{compression} is not what its ending '{ending}{compression}' says" in message
        assert "\n" not in message


def test_xz_may_be_padded(tmp_path: Path) -> None:
    part = lzma.compress(b"part")
    assert read(write(tmp_path / "a.txt.xz", part + bytes(8) + part + bytes(4))) == [b"partpart"]


def test_compressed_text_must_be_utf8(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "a.txt.xz", lzma.compress(b"abc\xff")))
    assert "a.txt.xz is not UTF-8" in message


@pytest.mark.parametrize("compression", ["", *COMPRESS])
def test_memory_does_not_grow_with_a_file_of_lines(tmp_path: Path, compression: str) -> None:
    n_lines = 1 << 15
    data = (b'{"text": "' + b"a" * 1000 + b'"}\n') * n_lines
    path = write(tmp_path / f"a.jsonl{compression}", COMPRESS.get(compression, bytes)(data))
    tracemalloc.start()
    try:
        assert sum(1 for _ in Files(paths=[str(path)]).documents()) == n_lines
        assert tracemalloc.get_traced_memory()[1] < len(data) / 2  # of which the dictionary of xz takes 8 MiB
    finally:
        tracemalloc.stop()


REFUSED = (
    "a.txt.lz4 a.jsonl.br a.zip a.txt.zip a.tar a.tar.gz a.tgz a.tar.xz a.7z a.rar a.txt.Z a.lzma a.txt.lz a.json.sz"
)


@pytest.mark.parametrize("name", [*REFUSED.split(), "a.txt.gz.gz", "a.txt.xz.zst", "a.parquet.gz"])
def test_compressed_files_of_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, b"data")
    write(tmp_path / "good.txt", b"good")
    for path in [tmp_path / name, tmp_path]:
        message = error_of(path)
        assert name in message
        assert "unpack it" in message or "decompress it" in message
        assert "\n" not in message
    with pytest.raises(CorpusError):
        Files(paths=[str(tmp_path)]).fingerprint()


# -- JSON -----------------------------------------------------------------------------------------

ROWS = [{"text": "one", "id": 1}, {"text": "two", "id": 2}]


@pytest.mark.parametrize(
    "data",
    [
        "".join(json.dumps(row) + "\n" for row in ROWS),
        "\n \n" + "\n\n".join(json.dumps(row) for row in ROWS),
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n\n" + json.dumps(ROWS, indent=2) + "\n\n",
    ],
)
def test_json_is_lines_or_one_list(tmp_path: Path, data: str) -> None:
    assert read(write(tmp_path / "a.json", data.encode())) == [b"one", b"two"]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_may_be_one_object(tmp_path: Path, indent: int | None) -> None:
    assert read(write(tmp_path / "a.json", json.dumps(ROWS[0], indent=indent).encode())) == [b"one"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{oops\n", ["is not JSON", "an object a line"]),
        (b'{"text": "a"}\n{oops\n', ["line 2 is not JSON", "remove"]),
        (b'[{"text": "a"}, 7]', ["item 2", "not an object"]),
        (b'[{"text": "a"},\n {"txt": "b"}]', ["item 2", "no field 'text'"]),
        (b"[" * 100_000, ["is not JSON"]),
    ],
)
def test_json_that_is_wrong_is_named(tmp_path: Path, data: bytes, says: list[str]) -> None:
    message = error_of(write(tmp_path / "a.json", data))
    for part in ["a.json", *says]:
        assert part in message
    assert "\n" not in message
