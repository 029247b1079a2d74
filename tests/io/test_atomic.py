"""Files and folders appear complete or not at all."""

import errno
import os
import re
from pathlib import Path

import pytest

from bytegap.errors import CommandError, FileError, StudyDirError
from bytegap.io.atomic import check_output, file_sha256, replace_dir, write_bytes


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


def filled(path):
    with replace_dir(path) as building:
        write_bytes(building / "a", b"")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EBUSY, errno.EISDIR, errno.EIO])
@pytest.mark.parametrize(
    ("write", "call"),
    [
        (lambda path: write_bytes(path, b""), "tempfile.mkstemp"),
        (lambda path: write_bytes(path, b""), "pathlib.Path.replace"),
        (filled, "tempfile.mkdtemp"),
        (filled, "tempfile.mkstemp"),
        (filled, "pathlib.Path.chmod"),
    ],
)
def test_what_the_system_refuses_names_the_target_and_leaves_nothing(tmp_path, monkeypatch, write, call, code):
    """Wherever it happens, and though the system names a temporary path."""

    def refusing(*arguments, **names):
        raise OSError(code, os.strerror(code), str(arguments[0] if arguments else names["dir"] / ".f.x"))

    monkeypatch.setattr(call, refusing)
    with pytest.raises(FileError, match=os.strerror(code)) as refused:
        write(tmp_path / "f")
    assert re.match(rf"{tmp_path / 'f'}(/a)?: ", str(refused.value))
    assert not list(tmp_path.iterdir())


def test_an_error_of_another_file_names_that_file(tmp_path):
    with pytest.raises(FileError, match=f"{tmp_path / 'missing'}: No such file"), replace_dir(tmp_path / "d"):
        (tmp_path / "missing").read_bytes()


def test_a_folder_or_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "is a folder"), (Path(), "is a folder"), (tmp_path / "pipe", "not a regular")):
        with pytest.raises(FileError, match=words):
            write_bytes(path, b"")
    (tmp_path / "file").write_bytes(b"")
    for write in (filled, lambda path: write_bytes(path, b"")):
        with pytest.raises(FileError, match=f"^{tmp_path / 'file' / 'f'}: "):
            write(tmp_path / "file" / "f")


def test_an_output_that_is_read_is_refused(tmp_path):
    folder, source = tmp_path / "run", tmp_path / "text"
    folder.mkdir()
    source.write_bytes(b"")
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    for out in ("text", "run/../text", "link", "hard"):
        with pytest.raises(CommandError, match="is what the command reads"):
            check_output(tmp_path / out, source, folder)
    (folder / "weights").write_bytes(b"")
    with pytest.raises(CommandError, match="which the command reads: name a file elsewhere"):
        check_output(folder / "weights", source, folder)
    check_output(tmp_path / "other", source, folder)
