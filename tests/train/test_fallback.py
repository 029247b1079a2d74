"""A run whose compiled code fails goes on in eager code, says so, and ends with the same weights as an eager run."""

import itertools
from collections.abc import Callable

import pytest
import torch

from bytegap.plan import measure
from bytegap.records import RunRecord
from bytegap.runs.audit import audit
from bytegap.store import read_record
from bytegap.study import Compute
from bytegap.train import checkpoint
from bytegap.train.devices import Devices
from bytegap.train.loop import Training
from bytegap.train.run import train_run
from tests.plan.test_measure import runs
from tests.train.test_train import begin, prepared, state  # noqa: F401 - a fixture

GUARD = "Guard failed on the same frame it was created.\nGuard fail reason: 4097 <= positions_M.size()[0]"


def failing(monkeypatch: pytest.MonkeyPatch, at: int | None, error: Exception | None = None) -> list[int]:
    """In the compiler's place: eager code that fails at a call; None: compiling itself does. The calls so far."""
    calls = []
    error = error or AssertionError(GUARD)

    def compiled(function: Callable) -> Callable:
        if at is None:
            raise error

        def call(*given: object) -> object:
            calls.append(len(calls))
            if calls[-1] == at:
                raise error
            return function(*given)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    return calls


def planned_compiled(spec, **changes):
    return spec.model_copy(update={"numerics": spec.numerics.model_copy(update={"compile": True}), **changes})


def compiled(prepared, devices=None):  # noqa: F811
    """A run in two pieces a step."""
    plain = begin(prepared, "bpe-mdm")
    spec = planned_compiled(plain.spec, rows_per_batch=4)
    return Training(spec, plain.rows._rows_RS.reshape(-1), devices or Devices(rows_at_once=2))


def ended(training):
    list(training.steps())
    return training


@pytest.fixture
def eager(prepared):  # noqa: F811
    """The same run, planned eager."""
    training = compiled(prepared)
    training._compute_eagerly()
    return ended(training)


@pytest.mark.parametrize(("at", "step"), [(None, 0), (0, 0), (1, 0), (10, 5), (11, 5)])
def test_the_step_at_which_compiled_code_fails_is_taken_again(prepared, eager, monkeypatch, capsys, at, step):  # noqa: F811
    calls = failing(monkeypatch, at)
    training = ended(compiled(prepared))
    said = f"step {step}: AssertionError: Guard failed on the same frame it was created."
    assert training.ledger.compile_error == said
    assert len(calls) == (0 if at is None else at + 1), "compiled code is not called again"
    assert all(torch.equal(weight, state(eager)[name]) for name, weight in state(training).items())
    assert training.ledger.losses == eager.ledger.losses
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("computes eagerly: compiled code failed at") == 1
    assert said in told


def test_a_run_that_is_resumed_stays_with_eager_code(prepared, eager, monkeypatch, tmp_path, capsys):  # noqa: F811
    failing(monkeypatch, 11)
    broken = compiled(prepared)
    list(itertools.islice(broken.steps(), 7))
    checkpoint.write(tmp_path / "c", broken)
    capsys.readouterr()
    calls = failing(monkeypatch, 99)
    again = compiled(prepared)
    checkpoint.resume(tmp_path / "c", again)
    ended(again)
    assert not calls
    assert vars(again.ledger) == {**vars(eager.ledger), "compile_error": broken.ledger.compile_error}
    assert all(torch.equal(weight, state(eager)[name]) for name, weight in state(again).items())
    assert "computes eagerly" not in capsys.readouterr().err, "it was said when it happened"


@pytest.mark.parametrize("at", [None, 3])
def test_the_record_and_the_audit_say_so_and_the_next_run_is_compiled(prepared, monkeypatch, at):  # noqa: F811
    folder, specs = prepared
    fails, works = (planned_compiled(specs["byte-ar"], seed=seed) for seed in (101, 102))
    failing(monkeypatch, at)
    record = train_run(fails, folder, lambda *_: None)
    assert record == read_record(folder.run(fails.id) / "record.json", RunRecord, "train")
    assert record.status == "finished"
    assert record.compile_error.startswith(f"step {at or 0}: AssertionError: Guard failed")
    calls = failing(monkeypatch, 10**9)
    other = train_run(works, folder, lambda *_: None)
    assert not other.compile_error
    assert len(calls) == works.steps
    found = audit([(fails, record), (works, other)])
    assert f"run {fails.id} of byte-ar was computed eagerly, compiled code failed: {record.compile_error}" in (
        found.warnings
    )
    assert not [line for line in found.warnings if works.id in line]
    assert "compiled code: kept to the end by 1 of the 2 finished runs that were planned so" in found.summary


def test_a_record_without_the_field_is_read():
    assert not RunRecord.model_validate({"run": "a", "status": "finished"}).compile_error


def test_what_eager_code_fails_at_too_or_memory_does_not_suffice_for_is_raised(prepared, monkeypatch):  # noqa: F811
    training = begin(prepared, "byte-ar")
    monkeypatch.setattr(training, "gradients", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(training.steps())
    failing(monkeypatch, 0, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"))
    training = compiled(prepared)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        list(training.steps())
    assert not training.ledger.compile_error


def test_devices_that_share_out_a_model_end_together(prepared, monkeypatch):  # noqa: F811
    """One of them cannot take a step again alone: the others have gone on to gather the next layer's weights."""
    monkeypatch.setattr(Devices, "lay", lambda *_: None)
    failing(monkeypatch, 0)
    training = compiled(prepared, Devices(sharded=True))
    with pytest.raises(AssertionError, match="Guard failed"):
        list(training.steps())


@pytest.mark.slow
def test_a_plan_does_without_a_compiler_that_fails(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CXX", "/bin/false")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    shape = {"vocabulary": 259, "width": 8, "depth": 2, "heads": 1, "hidden": 24, "positions": 97, "rotary_base": 97}
    probe = runs(count=1)[0].model_copy(update={"shape": shape})
    way = measure.plain(Compute()).model_copy(update={"device": "cpu", "compile": True})
    assert measure._tried([probe], way, 1, {}) is None
    told = " ".join(capsys.readouterr().err.split())
    assert "compiled, float32, attention as sdpa, 1 threads a run, 1 at once: cannot be had here: " in told
    assert "No working C++ compiler found" in told
