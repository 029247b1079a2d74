"""Paths as users have them: a home folder that is not there, names that are not UTF-8, a study file with a BOM."""

import json
import os
from pathlib import Path

import pytest

from bytegap.cli.main import main
from bytegap.errors import FileError, StudyError
from bytegap.io.paths import as_text, expanded
from bytegap.io.toml import read_toml
from bytegap.lm.open_model import open_model


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert expanded("~/m") == Path("/home/somebody/m")
    assert expanded("m/~") == Path("m/~")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x", "~nobody-of-that-name"])
def test_a_home_folder_that_is_not_there_is_one_sentence(name: str) -> None:
    with pytest.raises(FileError, match="no home folder for '~nobody-of-that-name'"):
        expanded(name)


def test_models_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Exception, match=str(tmp_path / "m")):
        open_model("hf:~/m")


def test_names_that_are_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/od\xffd.txt"))
    path.write_bytes(b"the text")
    assert as_text(path) == f"{tmp_path}/od\\xffd.txt"
    assert main(["baselines", str(path), "--json"]) == 0
    assert json.dumps(f"{tmp_path}/od\\xffd.txt") in capsys.readouterr().out
    assert main(["audit", str(path), "--text", str(path)]) == 2


def test_a_toml_file_may_begin_with_a_bom(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_bytes(b'\xef\xbb\xbfname = "a"\n')
    assert read_toml(tmp_path / "s.toml", "") == {"name": "a"}
    (tmp_path / "utf16.toml").write_text('name = "a"\n', encoding="utf-16")
    with pytest.raises(StudyError, match="not valid TOML"):
        read_toml(tmp_path / "utf16.toml", "")
