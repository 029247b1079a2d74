"""A study killed at any instant, over and over, ends as one that was not: the same rows, weights and fit, to the byte.

`BYTEGAP_KILLS=100 pytest tests/chaos -m slow` kills a hundred times; CI fifteen.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bytegap.records import Plan, RunRecord
from bytegap.store import Folder, read_record, write_record
from bytegap.study import load
from tests.tiny import STUDY, write_study

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VICTIM = Path(__file__).with_name("victim.py")
TEXT = STUDY.replace("budgets = [1e10]", "budgets = [4e9]").replace("[compute]", "[compute]\nthreads = 1")
KILLS_A_STUDY = 5
STUDIES = int(os.environ.get("BYTEGAP_KILLS", "15")) // KILLS_A_STUDY
PATIENCE_S = 240


def start(home: Path, verb: str, *more: str, **environment: str) -> subprocess.Popen:
    """The verb in a session of its own, so that it and its workers can be killed as one."""
    return subprocess.Popen(
        [sys.executable, str(VICTIM), verb, "tiny.toml", *more],
        cwd=home, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told.decode()
    assert b"Traceback" not in told, told.decode()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(process: subprocess.Popen, draw: random.Random) -> None:
    """The whole, the one that was started, or one of its workers."""
    whom = draw.choice(["all", "all", "parent", "worker"])
    workers = children(process.pid)
    if whom == "worker" and workers:
        os.kill(draw.choice(workers), signal.SIGKILL)
    elif whom == "parent":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def result(folder: Folder) -> dict[str, object]:
    """All that must come out the same."""
    records = [read_record(folder.run(run.id) / "record.json", RunRecord, "train") for run in plan(folder).runs]
    return {
        "plan": plan(folder).runs,
        "rows": folder.table.read_bytes(),
        "weights": [record.weights_sha256 for record in records],
        "fit": folder.fit.read_bytes(),
    }


def plan(folder: Folder) -> Plan:
    return read_record(folder.plan, Plan, "plan")


def prepared(home: Path, numerics_of: Plan | None = None) -> Folder:
    """The study, and a stale plan whose numerics the next one takes over: measured, they may come out otherwise."""
    folder = Folder(home / "out" / load(write_study(home, TEXT)).name)
    if numerics_of:
        write_record(folder.plan, numerics_of.model_copy(update={"inputs": "of another study"}))
    return folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    home = tmp_path_factory.mktemp("unbroken")
    folder = prepared(home)
    began = time.monotonic()
    finish(start(home, "quickstart"))
    return plan(folder), result(folder), time.monotonic() - began


@pytest.mark.parametrize("number", range(STUDIES))
def test_a_study_killed_anywhere_ends_as_one_that_was_not(tmp_path, unbroken, number):
    reference, expected, took_s = unbroken
    folder, draw = prepared(tmp_path, reference), random.Random(number)
    for _ in range(KILLS_A_STUDY):
        process = start(tmp_path, "quickstart")
        try:
            process.wait(draw.uniform(0, took_s))
        except subprocess.TimeoutExpired:
            kill(process, draw)
        process.communicate(timeout=PATIENCE_S)  # one that lost a worker says so, or goes on without
    finish(start(tmp_path, "quickstart"))
    assert result(folder) == expected


def test_four_workers_killed_at_random_train_every_run_exactly_once(tmp_path, unbroken):
    reference, expected, took_s = unbroken
    folder, draw = prepared(tmp_path, reference), random.Random(0)
    for verb in ("corpus", "tokens", "plan"):
        finish(start(tmp_path, verb))
    at_work = [start(tmp_path, "train", "--workers", "1") for _ in range(4)]
    first_seen: dict[str, int] = {}
    until = time.monotonic() + took_s
    while at_work:
        time.sleep(0.02)
        for path in folder.runs.glob("*/record.json"):
            first_seen.setdefault(path.parent.name, path.stat().st_ino)
        if time.monotonic() < until and draw.random() < 0.01:
            victim = draw.choice(at_work)
            os.killpg(victim.pid, signal.SIGKILL)
            victim.communicate()
            at_work.remove(victim)
            at_work.append(start(tmp_path, "train", "--workers", "1"))
        for process in [each for each in at_work if each.poll() is not None]:
            finish(process)
            at_work.remove(process)
    assert written(folder) == first_seen  # no record was written over
    assert set(first_seen) == {spec.id for spec in reference.runs}
    for verb in ("runs", "fit"):
        finish(start(tmp_path, verb))
    assert result(folder) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_end_leaves_a_checkpoint_and_no_worker(tmp_path, unbroken, number):
    reference, expected, _ = unbroken
    folder = prepared(tmp_path, reference)
    for verb in ("corpus", "tokens", "plan"):
        finish(start(tmp_path, verb))
    process = start(tmp_path, "train")
    while not list(folder.runs.glob("*/checkpoint.safetensors")):
        time.sleep(0.01)
    workers = children(process.pid)
    asked = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=PATIENCE_S)
    print(f"left after {time.monotonic() - asked:.1f} s")  # 1.0 on quiet cores; 5 are allowed
    assert process.returncode == 128 + number
    assert b"the same command continues where it stopped" in told
    assert b"Traceback" not in told
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() - asked < PATIENCE_S
        time.sleep(0.01)
    assert list(folder.runs.glob("*/checkpoint.safetensors"))
    for verb in ("train", "runs", "fit"):
        finish(start(tmp_path, verb))
    assert result(folder) == expected


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """What makes the wall clock of a process jump by so many seconds whenever anything in it reads the time."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)

    def jumping(seconds: int) -> dict[str, str]:
        return {"LD_PRELOAD": str(library), "CLOCK_JUMPS_S": str(seconds)}

    twice = "import time; from datetime import datetime; print(time.time(), datetime.now().timestamp())"
    environment = os.environ | jumping(-3600)
    told = subprocess.run([sys.executable, "-c", twice], env=environment, check=True, capture_output=True).stdout
    first, second = map(float, told.split())
    assert second < first - 3500 < time.time() - 7000  # without it nothing here could fail
    return jumping


def test_clocks_that_jump_and_times_that_lie_change_nothing(tmp_path, unbroken, clock):
    """An hour to either side with every reading: checkpoints, claims, a dead worker's run taken over, what stands."""
    reference, expected, _ = unbroken
    folder = prepared(tmp_path, reference)
    for verb in ("corpus", "tokens", "plan"):
        finish(start(tmp_path, verb, **clock(3600)))
    ids = {spec.id for spec in reference.runs}
    claimant = start(tmp_path, "train", "--workers", "1", **clock(-3600))
    until(lambda: list(folder.runs.glob("*/checkpoint.safetensors")), "a checkpoint is written")
    os.killpg(claimant.pid, signal.SIGSTOP)
    (claimed,) = {path.parent.name for path in folder.runs.glob("*/lock")} - set(written(folder))
    before = {path: path.stat().st_ino for path in folder.run(claimed).iterdir()}
    for path in folder.root.rglob("*"):
        os.utime(path, (1, 1) if path.name == "lock" else (2**33, 2**33))
    other = start(tmp_path, "train", "--workers", "1", **clock(3600))
    until(lambda: len(written(folder)) == len(ids) - 1, "all others are trained")
    time.sleep(3)  # in which the other asks for the claim three times
    assert {path: path.stat().st_ino for path in folder.run(claimed).iterdir()} == before
    os.killpg(claimant.pid, signal.SIGKILL)
    claimant.communicate()
    finish(other)
    records = written(folder)
    finish(start(tmp_path, "quickstart", **clock(-3600)))
    assert written(folder) == records
    assert result(folder) == expected


def written(folder: Folder) -> dict[str, int]:
    """The runs that have their record, and which file it is."""
    return {path.parent.name: path.stat().st_ino for path in folder.runs.glob("*/record.json")}


def until(true: Callable[[], object], what: str) -> None:
    asked = time.monotonic()
    while not true():
        assert time.monotonic() - asked < PATIENCE_S, what
        time.sleep(0.01)
