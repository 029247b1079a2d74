"""Every ending gives the same documents; every mistake one sentence that names the file and the mend."""

import bz2
import gzip
import lzma
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


def test_unknown_endings_are_text_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.rs", b"fn main() {}")
    write(tmp_path / ".hidden", b"no")
    assert read(tmp_path) == [b"fn main() {}"]


def test_raw_bytes_where_the_study_says_so(tmp_path: Path) -> None:
    """Whatever the names, also those of archives; and the fingerprint says it."""
    files = {"a.wav": bytes(range(256)), "b.txt": b"\xff", "c.jsonl": JSONL, "d.zip": b"PK\x03\x04", "e": b"\x1f\x8b"}
    for name, data in files.items():
        write(tmp_path / name, data)
    assert sorted(read(tmp_path, format="bytes")) == sorted(files.values())
    raw, text = (Files(paths=[str(tmp_path / "c.jsonl")], format=each).fingerprint() for each in ("bytes", "auto"))
    assert raw != text


def utf16(text: str) -> bytes:
    return text.encode("utf-16")


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.bin", bytes(range(256)), ["not UTF-8 text", 'format = "bytes"']),
        ("a", b"\x00\xff", ["not UTF-8 text", 'format = "bytes"']),
        ("a.log", gzip.compress(b"text"), ["is gzip", "'.gz'"]),
        ("a.txt", gzip.compress(b"text"), ["is gzip", "'.txt.gz'"]),
        ("a.jsonl", zstandard.compress(JSONL), ["is zstd", "'.jsonl.zst'"]),
        ("a.json", bz2.compress(JSONL), ["is bzip2", "'.json.bz2'"]),
        ("a.md", lzma.compress(b"text"), ["is xz", "'.md.xz'"]),
        ("train-00000", JSONL, ["JSON with a field 'text'", "'.jsonl'"]),
        ("a.jsonlines", JSONL, ["JSON with a field 'text'", "'.jsonl'"]),
        ("a.pq", b"PAR1\x15\x04", ["is Parquet", "'.parquet'"]),
        ("a.txt", b"PAR1\x15\x04", ["is Parquet", "'.parquet'"]),
        ("a.docx", b"PK\x03\x04more", ["zip archive"]),
        ("a.txt", b"%PDF-1.7 text", ["is PDF"]),
        ("a.arrow", b"ARROW1\x00\x00", ["Arrow"]),
        ("a.txt", utf16("text"), ["UTF-16"]),
        ("a.jsonl", utf16("{}"), ["UTF-16"]),
        ("a.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", ["Git LFS pointer", "git lfs pull"]),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", ["Git LFS pointer"]),
        ("a.ckpt", b"x" * 257 + b"ustar\x0000" + b"x" * 300, ["tar archive"]),
    ],
)
def test_content_that_is_not_what_the_name_says_is_refused(
    tmp_path: Path, name: str, data: bytes, says: list[str]
) -> None:
    message = error_of(write(tmp_path / name, data))
    for part in [name, *says]:
        assert part in message
    assert "\n" not in message


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
        ("bad.txt", b"abc\xff", ["UTF-8", "byte 3", 'format = "bytes"']),
        ("bad.md", "é".encode()[:1], ["UTF-8", 'format = "bytes"']),
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
