"""The script of the cure's GPU study, with a small study on this machine."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.helpers.tiny_study import STUDY, write_study

ROOT = Path(__file__).parents[2]
SCRIPT = "studies/cure/gpu.sh"


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, **variables}
    command = ["bash", SCRIPT, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_what_is_packed_here_is_trained_there(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    for part in ("src", "studies/cure"):
        shutil.copytree(ROOT / part, here / part, ignore=shutil.ignore_patterns("__pycache__"))
    write_study(here, STUDY.replace("budgets = [1e10]", "budgets = [1e9]"))
    packed = run(here, "pack", "tiny.toml")
    assert packed.returncode == 0, packed.stderr
    with tarfile.open(here / "cure-gpu.tar.gz") as archive:
        archive.extractall(there, filter="data")
    trained = run(there, "run", "tiny.toml", SECONDS_LIMIT="120")
    assert trained.returncode == 0, trained.stderr
    (rows,) = there.glob("out/*/runs.jsonl")
    assert len(rows.read_text().splitlines()) == 8


def test_without_a_verb_the_script_says_how_it_is_used(tmp_path):
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    found = run(tmp_path)
    assert found.returncode == 2
    assert "gpu.sh pack" in found.stderr
    assert "gpu.sh run" in found.stderr
