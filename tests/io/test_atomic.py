"""Files and folders appear complete or not at all."""

import errno

import pytest

from bytegap.errors import StudyDirError
from bytegap.io.atomic import file_sha256, replace_dir, write_bytes


def failing(error):
    """A replacement of os.fsync that raises."""

    def fsync(_):
        raise error

    return fsync


def test_full_disk_is_one_sentence_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_bytes(path, b"old")
    monkeypatch.setattr("os.fsync", failing(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(StudyDirError, match="f: no space left on the disk: free some"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_bytes(path, b"old")
    monkeypatch.setattr("os.fsync", failing(OSError("disk failure")))
    with pytest.raises(OSError, match="disk failure"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_replaced_completely_or_not_at_all(tmp_path):
    with replace_dir(tmp_path / "d") as building:
        (building / "a").write_text("1")
    with pytest.raises(ZeroDivisionError), replace_dir(tmp_path / "d") as building:
        (building / "b").write_text(str(1 / 0))
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [tmp_path / "d"]


def test_file_checksum(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
