"""A run whose compiled code fails goes on in eager code, says so, and ends with the weights of an eager run."""

import itertools
from collections.abc import Callable

import pytest
import torch

from bytegap.runs.audit import audit
from bytegap.schema.runs import RunRecord
from bytegap.study.directory import RunDir
from bytegap.train import checkpoint
from bytegap.train.parallel import Devices
from bytegap.train.run import train_run
from bytegap.train.trainer import RunOptions
from tests.helpers.trainers import train_to_end, weights_of

GUARD = "Guard failed on the same frame it was created.\nGuard fail reason: 4097 <= positions_M.size()[0]"


def failing_compiler(monkeypatch: pytest.MonkeyPatch, at: int | None, error: Exception | None = None) -> list[int]:
    """Replace the compiler by eager code that fails at a call, or, with None, by one that fails itself.

    The list that is returned grows by one with each call of the code.
    """
    calls = []
    error = error or AssertionError(GUARD)

    def compile_(function: Callable) -> Callable:
        if at is None:
            raise error

        def call(*arguments: object) -> object:
            calls.append(len(calls))
            if calls[-1] == at:
                raise error
            return function(*arguments)

        return call

    monkeypatch.setattr(torch, "compile", compile_)
    return calls


def compiled(tiny, arm="bpe-mdm", **changes):
    """The spec of a run that is planned compiled."""
    execution = tiny.specs[arm].execution.model_copy(update={"compile": True})
    return tiny.spec(arm, execution=execution, **changes)


def two_micro_batches(tiny, devices=None):
    """A trainer that takes two micro-batches a step."""
    options = RunOptions(micro_batch_size=2, devices=devices or Devices())
    return tiny.start(compiled(tiny, steps=12, batch_size=4), options)


@pytest.fixture
def eager(tiny):
    """The same run computed eagerly, at its end."""
    trainer = two_micro_batches(tiny)
    trainer._compute_eagerly()
    return train_to_end(trainer)


@pytest.mark.parametrize(("at", "step"), [(None, 0), (0, 0), (1, 0), (10, 5), (11, 5)])
def test_the_step_in_which_compiled_code_fails_is_computed_again(tiny, eager, monkeypatch, capsys, at, step):
    calls = failing_compiler(monkeypatch, at)
    trainer = train_to_end(two_micro_batches(tiny))
    reason = f"step {step}: AssertionError: Guard failed on the same frame it was created."
    assert trainer.metrics.compile_error == reason
    assert len(calls) == (0 if at is None else at + 1), "compiled code is not called again"
    assert all(torch.equal(weight, weights_of(eager)[name]) for name, weight in weights_of(trainer).items())
    assert trainer.metrics.losses == eager.metrics.losses
    printed = " ".join(capsys.readouterr().err.split())
    assert printed.count("computes eagerly: compiled code failed at") == 1
    assert reason in printed


def test_a_resumed_run_stays_eager(tiny, eager, monkeypatch, tmp_path, capsys):
    failing_compiler(monkeypatch, 11)
    broken = two_micro_batches(tiny)
    list(itertools.islice(broken.steps(), 7))
    checkpoint.write(RunDir(tmp_path), broken)
    capsys.readouterr()
    calls = failing_compiler(monkeypatch, 99)
    resumed = two_micro_batches(tiny)
    checkpoint.resume(RunDir(tmp_path), resumed)
    train_to_end(resumed)
    assert not calls
    assert vars(resumed.metrics) == {**vars(eager.metrics), "compile_error": broken.metrics.compile_error}
    assert all(torch.equal(weight, weights_of(eager)[name]) for name, weight in weights_of(resumed).items())
    assert "computes eagerly" not in capsys.readouterr().err, "it was printed when it happened"


@pytest.mark.parametrize("at", [None, 3])
def test_record_and_audit_name_the_failure_and_the_next_run_is_compiled(tiny, monkeypatch, at):
    failing, working = (compiled(tiny, "byte-ar", steps=40, seed=seed) for seed in (101, 102))
    failing_compiler(monkeypatch, at)
    record = train_run(failing, tiny.study_dir)
    assert record == tiny.study_dir.run(failing.id).record()
    assert record.status == "finished"
    assert record.compile_error.startswith(f"step {at or 0}: AssertionError: Guard failed")
    calls = failing_compiler(monkeypatch, 10**9)
    other = train_run(working, tiny.study_dir)
    assert not other.compile_error
    assert len(calls) == working.steps
    found = audit([(failing, record), (working, other)])
    assert f"run {failing.id} of byte-ar was computed eagerly, compiled code failed: {record.compile_error}" in (
        found.warnings
    )
    assert not [line for line in found.warnings if working.id in line]
    assert "compiled code: used to the end by 1 of the 2 finished runs that were planned compiled" in found.summary


def test_a_record_without_the_field_is_read():
    assert not RunRecord.model_validate({"run": "a", "status": "finished"}).compile_error


def test_errors_that_compilation_did_not_cause_are_raised(tiny, monkeypatch):
    trainer = tiny.trainer("byte-ar")
    trainer.gradient_fn = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(trainer.steps())
    failing_compiler(monkeypatch, 0, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"))
    trainer = two_micro_batches(tiny)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        list(trainer.steps())
    assert not trainer.metrics.compile_error


def test_devices_that_share_a_sharded_network_do_not_fall_back(tiny, monkeypatch):
    """One of them cannot repeat a step alone: the others have gone on to gather the next layer's weights."""
    monkeypatch.setattr(Devices, "shard", lambda *_: None)
    failing_compiler(monkeypatch, 0)
    trainer = two_micro_batches(tiny, Devices(sharded=True))
    with pytest.raises(AssertionError, match="Guard failed"):
        list(trainer.steps())
