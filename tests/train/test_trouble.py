"""What happens in days: a full disk, a shard missing or altered, a study edited while it runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bytegap.cli import main
from bytegap.corpus import stage as corpus
from bytegap.plan import stage as plan
from bytegap.store import Folder
from bytegap.study import load
from bytegap.tokens import stage as tokens
from bytegap.train import stage as train
from tests.tiny import STUDY, write_study

QUICK = STUDY.replace("budgets = [1e10]", "budgets = [2e9]")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    home = tmp_path_factory.mktemp("trouble")
    study, folder = load(write_study(home, QUICK)), Folder(home / "out" / "tiny")
    corpus.run(study, folder)
    tokens.run(study, folder)
    plan.run(study, folder)
    return home


@pytest.fixture
def home(planned, tmp_path):
    shutil.copytree(planned, tmp_path / "home")
    return tmp_path / "home"


def verb(home: Path, *words: str) -> int:
    return main([words[0], str(home / "tiny.toml"), "--out", str(home / "out"), *words[1:]])


def told(capsys) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_missing_shard_ends_training_with_its_name(home, capsys):
    (home / "out" / "tiny" / "tokens" / "bpe" / "train.sym").unlink()
    assert verb(home, "train", "--workers", "1") == 2
    found = told(capsys)
    assert "tokens/bpe/train.sym: missing" in found
    assert "delete its folder and make it again" in found


def test_an_altered_shard_is_named_and_not_trained_on(home, capsys):
    path = home / "out" / "tiny" / "tokens" / "byte" / "train.sym"
    whole = path.read_bytes()
    path.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    assert verb(home, "train") == 2
    assert "tokens/byte/train.sym: checksum differs from its manifest" in told(capsys)
    assert not list((home / "out" / "tiny" / "runs").glob("*/record.json"))


def test_a_study_edited_since_its_plan_is_told_and_the_plan_trained(home, capsys):
    path = home / "tiny.toml"
    path.write_text(path.read_text().replace("budgets = [2e9]", "budgets = [3e9]", 1))
    assert verb(home, "train") == 0
    assert "the study was edited since: run 'bytegap plan'" in told(capsys)
    assert verb(home, "plan") == 0
    assert verb(home, "train") == 0
    assert "the study was edited since" not in told(capsys)


@pytest.mark.slow
def test_a_full_disk_ends_with_one_sentence_and_goes_on_with_more_room(home, capsys):
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
        assert "no space left on the disk: free some, then the same command continues" in told(capsys)
        assert not [path for path in small.rglob(".*") if path.is_file()]
        subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
        assert verb(home, "train", "--workers", "1") == 0
        train.run(Folder(small))
        assert "all 8 runs have their records" in told(capsys)
    finally:
        subprocess.run(["umount", small], check=True)


def test_trouble_is_no_traceback(home):
    (home / "out" / "tiny" / "plan.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "bytegap", "train", "tiny.toml"], cwd=home, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"delete it and run 'bytegap plan' again" in done.stderr.replace(b"\n", b" ")
