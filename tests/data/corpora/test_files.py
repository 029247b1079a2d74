"""Every ending gives the same documents; every mistake one sentence that names the file and the mend."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from bytegap.data.corpora.files import Files
from bytegap.data.decompress import CHUNK_BYTES
from tests.data.corpora.reading import JSONL, TEXTS, error_of, read, write


def write_parquet(path: Path) -> Path:
    parquet.write_table(pa.table({"text": TEXTS, "id": range(len(TEXTS))}), path, row_group_size=2)
    return path


def test_every_ending_gives_the_same_documents(tmp_path: Path) -> None:
    expected = [text.encode() for text in TEXTS]
    frames = zstandard.compress(JSONL[:40]) + zstandard.compress(JSONL[40:])
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, data in enumerate(expected):
        write(folder / f"{i}.txt", data)
    assert read(write(tmp_path / "a.jsonl", JSONL)) == expected
    assert read(write(tmp_path / "a.jsonl.gz", gzip.compress(JSONL))) == expected
    assert read(write(tmp_path / "a.jsonl.zst", frames)) == expected
    assert read(write_parquet(tmp_path / "a.parquet")) == expected
    assert read(folder) == expected
    assert read(folder / "*.txt") == expected
    assert read(folder / "*.txt", folder) == expected, "a file named twice is read once"


def test_paths_start_at_the_current_directory_or_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.txt", b"here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("a.txt") == read("~/a.txt") == [b"here"]
    assert read("a.txt", "~/a.txt") == [b"here"], "one file by two names"


def test_unknown_endings_are_raw_bytes_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    raw = bytes(range(256))
    write(tmp_path / "a.bin", raw)
    write(tmp_path / ".hidden", b"no")
    assert read(tmp_path) == [raw]


def test_a_lone_surrogate_in_json_keeps_its_bytes(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.jsonl", rb'{"text": "a\ud800"}')) == [b"a\xed\xa0\x80"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("bad.jsonl", JSONL + b"{oops\n", ["line 6", "not JSON", "remove"]),
        ("list.jsonl", b"[1]\n", ["line 1", "object", "'text'"]),
        ("bad.jsonl.gz", b"not gzip at all", ["'.jsonl.gz'", "rename"]),
        ("cut.jsonl.gz", gzip.compress(JSONL * 99)[:-20], ["'.jsonl.gz'", "cut short"]),
        ("bad.jsonl.zst", b"not zstd at all", ["'.jsonl.zst'", "rename"]),
        ("cut.jsonl.zst", zstandard.compress(JSONL * 99)[:-20], ["'.jsonl.zst'", "cut short"]),
        ("bad.parquet", b"PAR1 not parquet PAR1", ["'.parquet'", "rename"]),
        ("bad.txt", b"abc\xff", ["UTF-8", "byte 3", ".bin"]),
        ("bad.md", "é".encode()[:1], ["UTF-8", ".bin"]),
        ("empty.txt", b"", ["no text"]),
        ("field.jsonl", b'{"texts": "a"}\n', ["line 1", "'text'", "did you mean 'texts'?", "text_field"]),
        ("number.jsonl", b'{"text": 7}\n', ["line 1", "'text'", "7", "text_field"]),
    ],
)
def test_a_malformed_file_is_named_with_a_fix(tmp_path: Path, name: str, data: bytes, says: list[str]) -> None:
    message = error_of(write(tmp_path / name, data))
    for part in [name, *says]:
        assert part in message
    assert "\n" not in message


def test_a_byte_far_into_a_text_file_is_found(tmp_path: Path) -> None:
    """A code point across the border of two chunks is whole; what is wrong is found in any chunk."""
    across = b"a" * (CHUNK_BYTES - 1) + "é".encode() + b"b"
    assert read(write(tmp_path / "a.txt", across)) == [across]
    assert "1,048,578" in error_of(write(tmp_path / "b.txt", across + b"\xff"))


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    assert "no file matches" in error_of(tmp_path / "*.txt")
    assert "holds no text" in error_of(tmp_path)


def test_parquet_fields(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet")
    message = error_of(path, text_field="txt")
    assert "a.parquet" in message
    assert "did you mean 'text'?" in message
    message = error_of(path, text_field="id")
    assert "row 1" in message
    assert "not a string" in message


def test_parquet_that_calls_any_bytes_text(tmp_path: Path) -> None:
    wrong = pa.array([b"good", b"b\xffd"], pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"text": wrong}), tmp_path / "a.parquet")
    message = error_of(tmp_path / "a.parquet")
    assert "a.parquet is not what its ending" in message
    assert "can't decode byte 0xff" in message


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"one")
    options = Files(paths=[str(tmp_path)])
    before = options.fingerprint()
    assert options.fingerprint() == before
    write(path, b"other")
    assert options.fingerprint() != before
