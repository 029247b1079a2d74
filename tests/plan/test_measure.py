"""What is chosen is what ends soonest, for all runs alike; what the study fixes is not touched."""

from itertools import product

import pytest

from bytegap.models import transformer
from bytegap.models._blocks import ATTENTION
from bytegap.plan import measure
from bytegap.study import Compute
from tests.runs.test_audit import run as a_run


def runs(flops=1e12, count=4):
    spec = a_run("byte-ar")[0]
    return [spec.model_copy(update={"flops": flops / count, "seed": seed}) for seed in range(count)]


@pytest.fixture
def machine(monkeypatch):
    """Four cores; seconds by (dtype, attention, threads, compile)."""
    seconds = {}
    asked = []

    def costs(_, candidates, beside):
        asked.append((candidates, beside))
        return {
            each: measure.Cost(seconds.get((each.dtype, each.attention, each.threads, each.compile), 100.0), 1.0)
            for each in candidates
        }

    monkeypatch.setattr(measure, "cores", lambda: 4)
    monkeypatch.setattr(measure, "_dtypes", lambda _: ["float32", "bfloat16"])
    monkeypatch.setattr(measure, "_costs", costs)
    return seconds, asked


def test_the_fastest_form_is_chosen(machine):
    seconds, _ = machine
    seconds["bfloat16", "matmul", 1, False] = 50.0
    found = measure.choose(runs(), Compute())
    assert (found.dtype, found.attention, found.threads, found.compile) == ("bfloat16", "matmul", 1, False)
    assert measure.workers(Compute(), found) == 4


def test_one_long_run_takes_all_cores(machine):
    seconds, _ = machine
    seconds["float32", "sdpa", 2, False], seconds["float32", "sdpa", 4, False] = 60.0, 40.0
    found = measure.choose(runs(count=1), Compute())
    assert found.threads == 4
    assert measure.workers(Compute(), found) == 1
    assert measure.choose(runs(count=16), Compute()).threads == 1, "four at a time end sooner than each at 2.5 times"


def test_code_is_compiled_where_that_is_won_back(machine):
    seconds, asked = machine
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 5.0, 3.0
    assert not measure.choose(runs(), Compute()).compile
    assert not any(each.compile for candidates, _ in asked for each in candidates), "not tried where it cannot pay"
    seconds |= dict.fromkeys(product(("float32", "bfloat16"), ATTENTION, (1, 2, 4), (False,)), 1000.0)
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 500.0, 300.0
    assert measure.choose(runs(flops=1e15), Compute()).compile
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 50.0, 30.0
    assert not measure.choose(runs(flops=1e15, count=400), Compute()).compile, "each run traces anew, equal ones too"


def test_what_the_study_fixes_stays(machine):
    _, asked = machine
    found = measure.choose(runs(count=1), Compute(threads=2, workers=3))
    assert found.threads == 2
    assert {beside for _, beside in asked} == {3}


def test_a_plan_of_seconds_is_not_measured(machine):
    _, asked = machine
    assert measure.choose(runs(flops=1e11), Compute()) == measure.plain(Compute())
    assert not asked


def test_a_real_measurement(monkeypatch):
    shape = next(transformer.ladder(vocabulary=259, positions=97)).model_dump()
    real = [run.model_copy(update={"shape": shape}) for run in runs(flops=1e9)]
    monkeypatch.setattr(measure, "cores", lambda: 1)
    monkeypatch.setattr(measure, "_WORTH_MEASURING_FLOPS", 0.0)
    found = measure.choose(real, Compute())
    assert found.device == measure.plain(Compute()).device
    assert found.threads == 1
    assert not found.compile
