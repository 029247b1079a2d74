"""Progress of training: what a line says, a line a minute without a terminal, the time that is left."""

from types import SimpleNamespace

import pytest

from bytegap import console
from bytegap.launch import display
from bytegap.launch.display import Progress, shown
from bytegap.train.run import StepReport

SPECS = [
    SimpleNamespace(id=name, arm=name, steps=100, flops=1e9, non_embedding_parameters=1000) for name in ("a", "b", "c")
]


@pytest.fixture
def clock(monkeypatch):
    """The display's clock; nobody is at a terminal."""
    now = SimpleNamespace(now=0.0, monotonic=lambda: now.now)
    monkeypatch.setattr(display, "time", now)
    return now


@pytest.fixture(autouse=True)
def _normal_verbosity():
    before = console.verbosity()
    console.set_verbosity("normal")
    yield
    console.set_verbosity(before)


def test_the_line_says_runs_flops_and_times(clock):
    progress = Progress(SPECS, 5)
    assert progress.line() == "2 of 5 runs done, 0.00e+00 of 3.00e+09 FLOPs, 0:00 elapsed, unknown time left"
    clock.now = 100.0
    progress.step(0, StepReport("a", 100, 0, 1.0, 1.0))
    progress.end(0, "a")
    progress.step(0, StepReport("b", 50, 0, 1.0, 1.0))
    assert progress.line() == "3 of 5 runs done, 1.50e+09 of 3.00e+09 FLOPs, 1:40 elapsed, about 1:40 left"


def test_a_run_that_another_process_trained_counts_once(clock):
    progress = Progress(SPECS, 5)
    clock.now = 10.0
    progress.step(0, StepReport("a", 50, 0, 1.0, 1.0))
    for worker in (0, 1):
        progress.end(worker, "b")
    assert progress.line() == "3 of 5 runs done, 1.50e+09 of 3.00e+09 FLOPs, 0:10 elapsed, about 0:30 left"


def test_steps_of_an_earlier_process_do_not_count_as_speed(clock):
    progress = Progress(SPECS[:1], 1)
    clock.now = 10.0
    progress.step(0, StepReport("a", 90, 80, 1.0, 1.0))
    assert progress.line().endswith("9.00e+08 of 1.00e+09 FLOPs, 0:10 elapsed, about 0:10 left")


def test_without_a_terminal_a_line_is_printed_each_minute(clock, capsys):
    progress = Progress(SPECS, 3)
    with shown(progress) as refresh:
        for clock.now in range(0, 181, 10):
            progress.step(0, StepReport("a", clock.now // 2, 0, 1.0, 1.0))
            refresh()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[1] == "   train  0 of 3 runs done, 6.00e+08 of 3.00e+09 FLOPs, 2:00 elapsed, about 8:00 left"


def test_nothing_is_printed_when_quiet(clock, capsys):
    console.set_verbosity("quiet")
    with shown(Progress(SPECS, 3)) as refresh:
        clock.now = 100.0
        refresh()
    assert capsys.readouterr().err == ""
