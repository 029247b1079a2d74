"""A study killed at any instant, repeatedly, ends with the same rows, weights and fit as one that was not.

`BYTEGAP_KILLS=100 pytest tests/chaos -m slow` kills a hundred times; CI kills ten times.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bytegap.schema.plan import Plan
from bytegap.study.directory import FIT, PLAN, RUNS, StudyDir
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, write_study

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
VICTIM = Path(__file__).with_name("victim.py")
TEXT = STUDY.replace("budgets = [1e10]", "budgets = [2e9]").replace("[compute]", "[compute]\nthreads = 1")
KILLS_A_STUDY = 5
STUDIES = int(os.environ.get("BYTEGAP_KILLS", "10")) // KILLS_A_STUDY
PATIENCE_S = 600


def start(home: Path, verb: str, *more: str, **environment: str) -> subprocess.Popen:
    """The verb in a session of its own, so that it and its workers can be killed together."""
    return subprocess.Popen(
        [sys.executable, str(VICTIM), verb, "tiny.toml", *more],
        cwd=home, env=os.environ | {"PYTHONPATH": PATH} | environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr.decode()
    assert b"Traceback" not in stderr, stderr.decode()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(process: subprocess.Popen, draw: random.Random) -> None:
    """Kill all processes, or the one that was started, or one of its workers."""
    target = draw.choice(["all", "all", "parent", "worker"])
    workers = children(process.pid)
    if target == "worker" and workers:
        os.kill(draw.choice(workers), signal.SIGKILL)
    elif target == "parent":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def result(study_dir: StudyDir) -> dict[str, object]:
    """Everything that must be the same."""
    records = [study_dir.run(run.id).record() for run in plan(study_dir).runs]
    return {
        "plan": plan(study_dir).runs,
        "rows": study_dir.path(RUNS).read_bytes(),
        "weights": [record.weights_sha256 for record in records],
        "fit": study_dir.path(FIT).read_bytes(),
    }


def plan(study_dir: StudyDir) -> Plan:
    return study_dir.plan()


def prepared(home: Path, execution_of: Plan | None = None) -> StudyDir:
    """The study, and a stale plan whose execution the next plan keeps: a benchmark could choose another."""
    study_dir = StudyDir(home / "out" / load_study(write_study(home, TEXT)).name)
    if execution_of:
        study_dir.write(PLAN, execution_of.model_copy(update={"inputs_sha256": "of another study"}))
    return study_dir


@dataclass(frozen=True)
class Unbroken:
    """The study that nobody killed."""

    study_dir: StudyDir
    expected: dict[str, object]
    took_s: float

    def planned(self, home: Path) -> StudyDir:
        """The study in another folder as `plan` leaves it."""
        study_dir = prepared(home)
        shutil.copytree(self.study_dir.root, study_dir.root, ignore=shutil.ignore_patterns("runs*", "fit.json"))
        return study_dir


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    home = tmp_path_factory.mktemp("unbroken")
    study_dir = prepared(home)
    began = time.monotonic()
    finish(start(home, "run"))
    return Unbroken(study_dir, result(study_dir), time.monotonic() - began)


@pytest.mark.parametrize("number", range(STUDIES))
def test_a_study_killed_anywhere_ends_with_the_same_results(tmp_path, unbroken, number):
    study_dir, draw = prepared(tmp_path, plan(unbroken.study_dir)), random.Random(number)
    for _ in range(KILLS_A_STUDY):
        process = start(tmp_path, "run")
        try:
            process.wait(draw.uniform(0, unbroken.took_s))
        except subprocess.TimeoutExpired:
            kill(process, draw)
        process.communicate(timeout=PATIENCE_S)  # after losing a worker it reports that, or continues
    finish(start(tmp_path, "run"))
    assert result(study_dir) == unbroken.expected


def test_four_workers_killed_at_random_train_every_run_exactly_once(tmp_path, unbroken):
    study_dir, draw = unbroken.planned(tmp_path), random.Random(0)
    processes = [start(tmp_path, "train", "--workers", "1") for _ in range(4)]
    first_seen: dict[str, int] = {}
    until_s = time.monotonic() + unbroken.took_s
    while processes:
        time.sleep(0.02)
        for path in study_dir.runs_dir.glob("*/record.json"):
            first_seen.setdefault(path.parent.name, path.stat().st_ino)
        if time.monotonic() < until_s and draw.random() < 0.01:
            victim = draw.choice(processes)
            os.killpg(victim.pid, signal.SIGKILL)
            victim.communicate()
            processes.remove(victim)
            processes.append(start(tmp_path, "train", "--workers", "1"))
        for process in [each for each in processes if each.poll() is not None]:
            finish(process)
            processes.remove(process)
    assert written(study_dir) == first_seen  # no record was written over
    assert set(first_seen) == {spec.id for spec in plan(study_dir).runs}
    for verb in ("collect", "fit"):
        finish(start(tmp_path, verb))
    assert result(study_dir) == unbroken.expected


def test_sigterm_and_ctrl_c_leave_a_checkpoint_and_no_worker(tmp_path, unbroken):
    study_dir = unbroken.planned(tmp_path)
    for number in (signal.SIGTERM, signal.SIGINT):
        before = checkpoints(study_dir)
        process = start(tmp_path, "train")
        wait_until(lambda before=before: checkpoints(study_dir) - before, "a checkpoint is written")
        workers = children(process.pid)
        sent_s = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        print(f"ended after {time.monotonic() - sent_s:.1f} s")  # 1.0 on idle cores; 5 are allowed
        assert process.returncode == 128 + number
        assert b"the same command continues where it stopped" in stderr
        assert b"Traceback" not in stderr
        wait_until(lambda workers=workers: not any(Path(f"/proc/{worker}").exists() for worker in workers), "they end")
        assert checkpoints(study_dir)
    for verb in ("train", "collect", "fit"):
        finish(start(tmp_path, verb))
    assert result(study_dir) == unbroken.expected


def checkpoints(study_dir: StudyDir) -> set[tuple[Path, int]]:
    """The checkpoints in the study's folder, each with its inode: a new one has another."""
    found: set[tuple[Path, int]] = set()
    for path in study_dir.runs_dir.glob("*/checkpoint.safetensors"):
        with suppress(FileNotFoundError):  # its run has ended
            found.add((path, path.stat().st_ino))
    return found


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """Environment that makes a process's wall clock jump by some seconds each time that it is read."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)

    def jumping(seconds: int) -> dict[str, str]:
        return {"LD_PRELOAD": str(library), "CLOCK_JUMPS_S": str(seconds)}

    twice = "import time; from datetime import datetime; print(time.time(), datetime.now().timestamp())"
    environment = os.environ | jumping(-3600)
    printed = subprocess.run([sys.executable, "-c", twice], env=environment, check=True, capture_output=True).stdout
    first, second = map(float, printed.split())
    assert second < first - 3500 < time.time() - 7000  # the clock really jumps
    return jumping


def test_jumping_clocks_and_wrong_file_times_change_nothing(tmp_path, unbroken, clock):
    """An hour forward or back with every reading: checkpoints, claims, taking over a dead worker's run, cache hits."""
    study_dir = prepared(tmp_path, plan(unbroken.study_dir))
    for verb in ("corpus", "tokenize", "plan"):
        finish(start(tmp_path, verb, **clock(3600)))
    ids = {spec.id for spec in plan(study_dir).runs}
    claimant = start(tmp_path, "train", "--workers", "1", **clock(-3600))
    wait_until(lambda: list(study_dir.runs_dir.glob("*/checkpoint.safetensors")), "a checkpoint is written")
    os.killpg(claimant.pid, signal.SIGSTOP)
    (claimed,) = {path.parent.name for path in study_dir.runs_dir.glob("*/lock")} - set(written(study_dir))
    before = {path: path.stat().st_ino for path in study_dir.run(claimed).path.iterdir()}
    for path in study_dir.root.rglob("*"):
        os.utime(path, (1, 1) if path.name == "lock" else (2**33, 2**33))
    other = start(tmp_path, "train", "--workers", "1", **clock(3600))
    wait_until(lambda: len(written(study_dir)) == len(ids) - 1, "all others are trained")
    time.sleep(3)  # in which the other process tries to claim it three times
    assert {path: path.stat().st_ino for path in study_dir.run(claimed).path.iterdir()} == before
    os.killpg(claimant.pid, signal.SIGKILL)
    claimant.communicate()
    finish(other)
    records = written(study_dir)
    finish(start(tmp_path, "run", **clock(-3600)))
    assert written(study_dir) == records
    assert result(study_dir) == unbroken.expected


def written(study_dir: StudyDir) -> dict[str, int]:
    """The runs that have their record, and its inode."""
    return {path.parent.name: path.stat().st_ino for path in study_dir.runs_dir.glob("*/record.json")}


def wait_until(true: Callable[[], object], what: str) -> None:
    started_s = time.monotonic()
    while not true():
        assert time.monotonic() - started_s < PATIENCE_S, what
        time.sleep(0.01)
