"""Links are followed, under the name that was given; what may not be read, or leads nowhere, is named."""

import errno
import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bytegap.data.corpora.files import Files
from tests.data.corpora.reading import JSONL, TEXTS, error_of, read, write


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=target.is_dir())
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache as the Hub keeps it: files without endings, and links to them that have some."""
    (tmp_path / "blobs").mkdir()
    write(tmp_path / "blobs" / "0a1b", JSONL)
    write(tmp_path / "blobs" / "2c3d", gzip.compress(b"a text"))
    link(tmp_path / "snapshots" / "r" / "a.jsonl", Path("../../blobs/0a1b"))
    link(tmp_path / "snapshots" / "r" / "b.txt.gz", Path("../../blobs/2c3d"))
    return tmp_path


def test_the_name_that_is_given_decides_not_the_target_of_a_link(cache: Path) -> None:
    rows = [text.encode() for text in TEXTS]
    snapshot = cache / "snapshots" / "r"
    assert read(snapshot / "a.jsonl") == rows
    assert read(snapshot / "*.txt.gz") == [b"a text"]
    assert sorted(read(snapshot)) == sorted([*rows, b"a text"])
    assert sorted(read(cache)) == sorted([*rows, b"a text"]), "a blob is read once, under the name that has an ending"
    assert sorted(read(cache / "blobs", snapshot)) == sorted([*rows, b"a text"])
    assert "0a1b has a name that says nothing" in error_of(cache / "blobs" / "0a1b")
    assert read(cache / "blobs" / "0a1b", format="bytes") == [JSONL]
    assert "raw.bin has a name that says nothing" in error_of(link(cache / "raw.bin", snapshot / "a.jsonl"))
    assert str(snapshot / "a.jsonl") in error_of(snapshot / "a.jsonl", text_field="texts")


def test_a_link_without_an_ending_to_a_file_that_has_one_is_refused(tmp_path: Path) -> None:
    target = write(tmp_path / "v2.jsonl", JSONL)
    message = error_of(link(tmp_path / "latest", target))
    assert "latest has no ending" in message
    assert str(target) in message


def test_the_fingerprint_follows_the_name(cache: Path) -> None:
    blob = Files(paths=[str(cache / "blobs" / "0a1b")]).fingerprint()
    row = Files(paths=[str(cache / "snapshots" / "r" / "a.jsonl")]).fingerprint()
    assert blob != row


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "far" / "deep").mkdir(parents=True)
    write(tmp_path / "far" / "a.txt", b"a")
    write(tmp_path / "far" / "deep" / "b.txt", b"b")
    here = link(tmp_path / "here" / "link", tmp_path / "far").parent
    for path in [here, here / "link", here / "**", here / "**" / "*.txt", here / "*", f"{here}/li[n]k/**/?.txt"]:
        assert sorted(read(path)) == [b"a", b"b"], path
    assert read(here / "*" / "*" / "*.txt") == [b"b"]


def test_loops_of_links_end_and_count_no_document_twice(tmp_path: Path) -> None:
    """Links among all folders: as many ways through them as would never end."""
    folders = [tmp_path / name for name in "abcdefgh"]
    for folder in folders:
        folder.mkdir()
        write(folder / "a.txt", folder.name.encode())
    for folder in folders:
        link(folder / "up", tmp_path)
        for other in folders:
            link(folder / f"to_{other.name}", other)
    expected = [folder.name.encode() for folder in folders]
    assert sorted(read(tmp_path)) == expected
    assert sorted(read(tmp_path / "**" / "*.txt")) == expected
    assert sorted(read(tmp_path / "a" / "**" / "a.txt", tmp_path)) == expected


def test_hidden_folders_are_left_out_unless_named(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", b"a")
    (tmp_path / ".git").mkdir()
    write(tmp_path / ".git" / "b.txt", b"b")
    for path in [tmp_path, tmp_path / "*", tmp_path / "**" / "*.txt"]:
        assert read(path) == [b"a"]
    assert read(tmp_path / ".git") == read(tmp_path / ".g*" / "*.txt") == [b"b"]


def test_a_name_with_the_signs_of_a_glob_is_a_name_first(tmp_path: Path) -> None:
    write(tmp_path / "[a].txt", b"signs")
    write(tmp_path / "a.txt", b"a")
    assert read(tmp_path / "[a].txt") == [b"signs"]
    assert read(tmp_path / "[!b].txt") == [b"a"]


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", b"a")
    broken = link(tmp_path / "b.txt", tmp_path / "gone.txt")
    for path in [tmp_path, tmp_path / "*.txt", tmp_path / "**"]:
        message = error_of(path)
        assert f"{broken} is a link to a file that does not exist" in message
    assert read(tmp_path / "a*.txt") == [b"a"]
    broken.unlink()
    broken.symlink_to(broken)
    assert f"{broken} cannot be read" in error_of(tmp_path)


# -- permissions ----------------------------------------------------------------------------------


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that the tests read as a user who is not root, and so may be kept from it."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "in").mkdir()
        write(folder / "in" / "a.txt", b"a")
        write(folder / "b.txt", b"b")
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            (folder / "in").chmod(0o755)


def forbid(path: Path) -> Path:
    """Take all rights from `path`, as its owner; a file that is not there is made."""
    user = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)
    if not path.exists():
        write(path, b"closed")
    path.chmod(0)
    os.seteuid(user)
    return path


def test_a_folder_that_may_not_be_read_is_named(shared: Path) -> None:
    assert sorted(read(shared)) == [b"a", b"b"]
    closed = forbid(shared / "in")
    for path in [shared, closed, closed / "*.txt", closed / "a.txt", shared / "*" / "a.txt", shared / "**" / "*.txt"]:
        message = error_of(path)
        assert str(closed) in message
        assert "cannot be read (Permission denied)" in message
        assert "chmod" in message
    assert read(shared / "*.txt") == [b"b"]


@pytest.mark.parametrize("name", ["c.txt", "c.bin", "c.jsonl", "c.json", "c.txt.gz", "c.jsonl.xz", "c.parquet"])
def test_a_file_that_may_not_be_read_is_named(shared: Path, name: str) -> None:
    closed = forbid(shared / "in" / name)
    message = error_of(shared)
    assert f"{closed} cannot be read (" in message
    assert "chmod" in message
    assert "ending" not in message


def test_a_folder_that_fails_as_it_is_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.txt", b"a")
    (tmp_path / "bad").mkdir()
    scandir = os.scandir

    def failing(path: Path) -> object:
        if Path(path).name == "bad":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    message = error_of(tmp_path)
    assert f"{tmp_path / 'bad'} cannot be read (Input/output error): repair it" in message
