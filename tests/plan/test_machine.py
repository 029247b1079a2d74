"""What is assumed of a machine: benchmark and timed steps that contradict each other are made once more."""

from dataclasses import replace

import pytest

from bytegap.autotune.backends import ExecutionPlan, default_execution
from bytegap.autotune.search import end_of_runs
from bytegap.plan import machine
from bytegap.plan.contexts import arm_contexts
from bytegap.plan.throughput import Throughput
from bytegap.schema.pilot import SizeTiming
from bytegap.study.config import Compute

START = default_execution(Compute())
TUNED = START.model_copy(update={"threads": 2})
TIMINGS = tuple(
    SizeTiming(non_embedding_parameters=params, step_s=0.001, sequence_s=1e-8 * params) for params in (1000, 10**6)
)


@pytest.fixture
def measured(tokenized, monkeypatch):
    """What is measured where the benchmarks expect these factors of the seconds of timed steps, one after the other."""
    _, study, study_dir = tokenized
    study = study.model_copy(update={"plan": study.plan.model_copy(update={"hours": 1.0})})
    contexts = arm_contexts(study, study_dir, START)
    monkeypatch.setattr(machine, "time_sizes", lambda *_: TIMINGS)

    def measure(*factors):
        left = list(factors)

        def autotune(runs, _):
            own_s = end_of_runs([Throughput(TIMINGS).seconds(run) for run in runs], 2)
            return replace(ExecutionPlan(TUNED, 2), expected_s=left.pop(0) * own_s)

        monkeypatch.setattr(machine, "autotune", autotune)
        return machine.measured_machine(study, contexts).chosen.execution, left

    return measure


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_what_agrees_is_measured_once(measured, factor):
    assert measured(factor, 1.0) == (TUNED, [1.0])


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_what_contradicts_is_measured_twice(measured, factor, capsys):
    assert measured(factor, 1.0, 1.0) == (TUNED, [1.0])
    assert "differ by a factor of 5.0: both are measured again" in " ".join(capsys.readouterr().err.split())


def test_a_benchmark_that_contradicts_twice_is_not_believed(measured):
    assert measured(5.0, 0.1, 1.0) == (START, [1.0])


def test_without_a_benchmark_nothing_contradicts():
    assert machine.contradiction([], ExecutionPlan(START, 2), {}) == 1.0
