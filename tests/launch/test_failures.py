"""Failures that a study meets in days of training: a full disk, a damaged token file, an edited study."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bytegap.cli.main import main
from bytegap.launch import local
from bytegap.study.directory import PLAN, StudyDir
from tests.helpers import trainers
from tests.helpers.tiny_study import STUDY

SHORT = STUDY.replace("budgets = [1e10]", "budgets = [2e9]")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The folder of a study file, its text, and the study planned in out/tiny/."""
    home = tmp_path_factory.mktemp("failures")
    study_dir = trainers.planned(home, SHORT).study_dir
    plan = study_dir.plan()
    study_dir.write(PLAN, plan.model_copy(update={"runs": plan.runs[::2]}))  # two runs of each arm
    return home


@pytest.fixture
def home(planned, tmp_path):
    shutil.copytree(planned, tmp_path / "home")
    return tmp_path / "home"


def verb(home: Path, *words: str) -> int:
    return main([words[0], str(home / "tiny.toml"), "--out", str(home / "out"), *words[1:]])


def printed(capsys) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_missing_token_file_ends_training_with_its_name(home, capsys):
    (home / "out" / "tiny" / "tokens" / "bpe" / "train.tokens").unlink()
    assert verb(home, "train", "--workers", "1") == 2
    message = printed(capsys)
    assert "tokens/bpe/train.tokens is missing" in message
    assert "tokens/bpe and run 'bytegap tokenize' again" in message


@pytest.mark.parametrize("file", ["byte/train.tokens", "windows/test.byte.tokens", "windows/test.words.ends"])
def test_an_altered_token_file_is_named_and_nothing_is_trained(home, capsys, file):
    path = home / "out" / "tiny" / "tokens" / file
    data = path.read_bytes()
    path.write_bytes(data[:8] + data[8:][::-1])
    assert verb(home, "train") == 2
    assert f"tokens/{file}: checksum differs from its manifest" in printed(capsys)
    assert not list((home / "out" / "tiny" / "runs").glob("*/record.json"))


@pytest.mark.slow
def test_a_study_edited_after_planning_is_trained_as_planned_with_a_warning(home, capsys, monkeypatch):
    path = home / "tiny.toml"
    path.write_text(path.read_text().replace("budgets = [2e9]", "budgets = [3e9]", 1))
    assert verb(home, "train") == 0
    assert "the study was edited since: run 'bytegap plan'" in printed(capsys)
    assert verb(home, "plan") == 0
    monkeypatch.setattr(local, "run", lambda *_: None)
    assert verb(home, "train") == 0
    assert "the study was edited since" not in printed(capsys)


@pytest.mark.slow
def test_training_stops_at_a_full_disk_and_continues_with_more_room(home, capsys):
    small = home / "out" / "tiny"
    kept = home / "kept"
    small.rename(kept)
    small.mkdir()
    size = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    options = f"size={size + 200_000}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", small], check=False).returncode:
        pytest.skip("needs leave to mount a tmpfs")
    try:
        shutil.copytree(kept, small, dirs_exist_ok=True)
        assert verb(home, "train", "--workers", "1") == 2
        assert "no space left on the disk" in printed(capsys)
        assert not [path for path in small.rglob(".*") if path.is_file()]
        subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
        assert verb(home, "train", "--workers", "1") == 0
        local.run(StudyDir(small))
        assert "all 4 runs have their records" in printed(capsys)
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_damaged_plan_is_an_error_without_a_traceback(home):
    StudyDir(home / "out" / "tiny").path(PLAN).write_text("{")
    process = subprocess.run(
        [sys.executable, "-m", "bytegap", "train", "tiny.toml"], cwd=home, capture_output=True, check=False
    )
    assert process.returncode == 2
    assert b"Traceback" not in process.stderr
    assert b"delete it and run 'bytegap plan' again" in process.stderr.replace(b"\n", b" ")


def test_a_file_where_the_runs_folder_is_expected_is_an_error_without_a_traceback(home):
    (home / "out" / "tiny" / "runs").write_text("")
    process = subprocess.run(
        [sys.executable, "-m", "bytegap", "train", "tiny.toml"], cwd=home, capture_output=True, check=False
    )
    assert process.returncode == 2
    assert b"Traceback" not in process.stderr
    assert b"Not a directory: a part of the path is a file; name a folder" in process.stderr
