"""A run from its spec to its record."""

from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from bytegap.train import checkpoint, run
from bytegap.train.run import train_run
from bytegap.train.trainer import Trainer


def test_a_run_has_a_record_weights_and_no_checkpoint(tiny):
    reports = []
    for arm in ("byte-ar", "bpe-mdm"):
        spec, run_dir = tiny.specs[arm], tiny.study_dir.run(tiny.specs[arm].id)
        record = train_run(spec, tiny.study_dir, report=reports.append)
        assert record == run_dir.record()
        assert record.status == "finished"
        assert record.spent_flops == pytest.approx(spec.flops, rel=0.01)
        assert record.counted_supervised_step_flops == record.analytic_supervised_step_flops
        assert record.test.bpb < 6
        assert (record.test.bpb_se > 0) is (spec.objective == "mdm")
        windows = tiny.study_dir.windows()
        assert record.test_by_edge.keys() == windows.other_edges.keys() == {"words", "any"}
        for edge, score in {"tokens": record.test, **record.test_by_edge}.items():
            assert sum(score.document_nats) == pytest.approx(score.nats, rel=1e-12)
            assert score.document_bytes == record.test.document_bytes
            assert sum(score.document_bytes) == score.bytes == record.test.bytes
            assert score.passes == (1 if spec.objective == "ar" else 8 if edge == "tokens" else 2)
        assert record.validation.passes == (1 if spec.objective == "ar" else 2)
        assert len(record.test.document_nats) == windows.splits["test"].n_documents > 1
        assert set(record.update_rms) == {"embedding", "head", "body", "gains"}
        assert not run_dir.checkpoint_path.exists()
        weights = load_file(run_dir.weights_path)
        assert sum(weight.numel() for weight in weights.values()) == (
            spec.embedding_parameters + spec.head_parameters + spec.non_embedding_parameters
        )
        assert (reports[-1].run, reports[-1].step, reports[-1].first_step) == (spec.id, spec.steps, 0)


def test_equal_runs_have_equal_records(tiny):
    spec = tiny.spec("byte-ar", steps=40)
    assert train_run(spec, tiny.study_dir) == train_run(spec, tiny.study_dir)


def test_a_run_that_does_not_fit_into_memory_is_recorded_as_failed(tiny, monkeypatch):
    spec = tiny.spec("byte-ar", seed=77)

    def fail(words):
        monkeypatch.setattr(run, "Trainer", lambda *_: (_ for _ in ()).throw(RuntimeError(words)))

    fail("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
    record = train_run(spec, tiny.study_dir)
    assert (record.status, record.reason) == ("failed", "out of memory")
    assert tiny.study_dir.run(spec.id).record() == record
    fail("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        train_run(spec.model_copy(update={"seed": 78}), tiny.study_dir)


def test_time_between_checkpoints_depends_on_the_time_that_one_takes(tiny, monkeypatch):
    """On a clock by which a step takes one second and a checkpoint two."""
    spec = tiny.spec("byte-ar", steps=300, seed=5)
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now, perf_counter=lambda: clock.now)
    steps, write, saved_at = Trainer.steps, checkpoint.write, []

    def slow_steps(trainer):
        for step in steps(trainer):
            clock.now += 1
            yield step

    def slow_write(run_dir, trainer):
        saved_at.append(trainer.step)
        clock.now += 2
        write(run_dir, trainer)

    monkeypatch.setattr(run, "time", clock)
    monkeypatch.setattr(Trainer, "steps", slow_steps)
    monkeypatch.setattr(checkpoint, "write", slow_write)
    train_run(spec, tiny.study_dir)
    assert saved_at == [61, 162, 263, 300]  # a minute; fifty times two seconds; after the last step
    timings = tiny.study_dir.run(spec.id).timings()
    assert (timings.train_s, timings.checkpoint_s) == (308, 8)
