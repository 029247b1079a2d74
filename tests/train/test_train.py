"""Training: deterministic, resumable to the bit, one loop for all, its FLOPs counted independently."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from bytegap import numerics, plugins
from bytegap.corpus import stage as corpus
from bytegap.errors import BytegapError
from bytegap.plan import stage as plan_stage
from bytegap.records import Plan, RunRecord, Timings, TokensManifest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record, write_record
from bytegap.tokens import stage as tokens
from bytegap.train import checkpoint, count, run
from bytegap.train import stage as train_stage
from bytegap.train.loop import Divergence, Training, learning_rate
from bytegap.train.run import train_run
from tests.plugs import OBJECTIVES
from tests.tiny import opened


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    study, folder = opened(tmp_path_factory.mktemp("train"))
    corpus.run(study, folder)
    tokens.run(study, folder)
    torch.set_num_threads(1)
    return folder, {spec.arm: spec for spec in plan_stage.run(study, folder).runs}


def begin(prepared, arm, objective=None, steps=12):
    folder, specs = prepared
    spec = specs[arm].model_copy(update={"steps": steps, "objective": objective or specs[arm].objective})
    spec.shape["aims"] = getattr(plugins.load("objectives", spec.objective), "AIMS", False)
    manifest = read_record(folder.tokens_of(spec.tokens) / "manifest.json", TokensManifest, "tokens")
    return Training(spec, read_array(folder.tokens_of(spec.tokens), manifest.stream))


def state(training):
    return {name: weight.detach().clone() for name, weight in training.model.named_parameters()}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_killed_and_resumed_ends_bit_identical(prepared, tmp_path, objective):
    whole = begin(prepared, "byte-ar", objective)
    list(whole.steps())
    broken = begin(prepared, "byte-ar", objective)
    list(itertools.islice(broken.steps(), 5))
    checkpoint.write(tmp_path / "c", broken)
    again = begin(prepared, "byte-ar", objective)
    checkpoint.resume(tmp_path / "c", again)
    assert again.step == 5
    list(again.steps())
    for name, weight in state(whole).items():
        assert torch.equal(weight, state(again)[name]), name
    assert vars(again.ledger) == vars(whole.ledger)


class Waits(TorchDispatchMode):
    """Operations for which a host would wait for its device, in their order, where "asked" stands for a batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        masks = [each for each in args[1] if each is not None] if operation is aten.index.Tensor else []
        if operation in WAITING or any(mask.dtype is torch.bool for mask in masks):
            self.seen.append(operation)
        return operation(*args, **kwargs or {})


aten = torch.ops.aten
WAITING = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default}


@pytest.mark.parametrize("chunk", [None, 7], ids=["whole", "chunks"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_next_batch_is_laid_before_a_step_is_waited_for(prepared, objective, chunk, monkeypatch):
    if chunk:
        monkeypatch.setattr(numerics, "answers_at_once", lambda *_: chunk)
    training, waits = begin(prepared, "byte-ar", objective), Waits()
    pieces, steps = training.pieces, training.steps()
    next(steps)
    training.pieces = lambda step: waits.seen.append(("asked", step)) or pieces(step)
    with waits:
        next(steps)
    assert waits.seen[0] == ("asked", 2)
    assert waits.seen[-1] == aten._local_scalar_dense.default


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_flops_are_counted_few_rows_at_a_time(prepared, objective, everywhere, monkeypatch):
    training, rows = begin(prepared, "byte-ar", objective), []
    body = training.model.features
    training.model.features = lambda inputs, *asked: rows.append(len(inputs)) or body(inputs, *asked)
    whole = count.step_flops(training, head_everywhere=everywhere)
    monkeypatch.setattr(count, "_MAP_ENTRIES", 1)
    assert count.step_flops(training, head_everywhere=everywhere) == whole
    assert rows == [training.spec.rows_per_batch] + [1] * training.spec.rows_per_batch


def test_the_loss_falls_below_that_of_a_fresh_model(prepared):
    training = begin(prepared, "byte-ar", steps=60)
    list(training.steps())
    # A random head: logits of unit variance.
    assert training.ledger.losses[0] == pytest.approx(math.log(training.vocabulary.ids), abs=0.7)
    assert training.ledger.losses[-1] < 0.7 * training.ledger.losses[0]


def test_a_run_that_blows_up_is_recorded_with_its_reason(prepared):
    training = begin(prepared, "byte-ar")
    with torch.no_grad():
        training.model.lm_head.weight.fill_(math.nan)
    with pytest.raises(Divergence, match="at step 0"):
        list(training.steps())


def test_a_loss_that_stays_above_its_start_is_a_divergence(prepared):
    training = begin(prepared, "byte-ar", steps=100)
    training.ledger.losses = [3.0] * 10
    assert not training.ledger.is_above_its_start(5)
    for after, gone in (([3.1] * 15, True), ([3.1] * 10 + [2.9] * 5, False), ([9.9] * 4 + [2.9] * 11, False)):
        training.ledger.losses = [3.0] * 10 + after
        assert training.ledger.is_above_its_start(5) is gone
    training.ledger.losses = [0.1] * 10 + [9.0] * 29
    training.step = 39
    with pytest.raises(Divergence, match=r"rose above its start: .* at step 40"):
        list(training.steps())


def test_a_run_that_memory_does_not_suffice_for_is_recorded_and_named(prepared, monkeypatch):
    folder, specs = prepared
    spec = specs["byte-ar"].model_copy(update={"seed": 77})

    def fails(words):
        monkeypatch.setattr(run, "Training", lambda *_: (_ for _ in ()).throw(RuntimeError(words)))

    fails("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
    record = run.train_run(spec, folder, lambda *_: None)
    assert (record.status, record.reason) == ("failed", "out of memory")
    assert read_record(folder.run(spec.id) / "record.json", RunRecord, "train") == record
    fails("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        run.train_run(spec.model_copy(update={"seed": 78}), folder, lambda *_: None)


def test_a_damaged_checkpoint_is_named_and_the_one_before_resumed(prepared, tmp_path, capsys):
    whole = begin(prepared, "byte-ar")
    path = tmp_path / "checkpoint.safetensors"
    for done in whole.steps():
        if done in {4, 8}:
            checkpoint.write(path, whole)
    good = path.read_bytes()
    for torn in (good[:-100], good[: len(good) // 2], b"", good[:-1] + bytes([good[-1] ^ 1]), b"\xff" * 64):
        path.write_bytes(torn)
        again = begin(prepared, "byte-ar")
        checkpoint.resume(path, again)
        assert again.step == 4
        assert f"{path} is damaged" in capsys.readouterr().err.replace("\n", "")
    list(again.steps())
    assert all(torch.equal(weight, state(again)[name]) for name, weight in state(whole).items())
    checkpoint.before(path).write_bytes(b"")
    fresh = begin(prepared, "byte-ar")
    checkpoint.resume(path, fresh)
    assert fresh.step == 0


def test_a_checkpoint_of_another_model_is_not_read(prepared, tmp_path, capsys):
    checkpoint.write(tmp_path / "c", begin(prepared, "bpe-mdm"))
    training = begin(prepared, "byte-ar")
    before = state(training)
    checkpoint.resume(tmp_path / "c", training)
    assert "is of another model" in capsys.readouterr().err.replace("\n", " ")
    assert all(torch.equal(weight, before[name]) for name, weight in state(training).items())


def test_learning_rate_warms_up_and_decays_to_zero(prepared):
    optimiser = prepared[1]["byte-ar"].optimiser.model_copy(update={"warmup_steps": 10, "learning_rate": 0.5})
    rates = [learning_rate(optimiser, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == rates[9] == rates[10] == 0.5
    assert rates[55] == pytest.approx(0.25)
    assert rates[99] == pytest.approx(0.5 / 90)


def test_a_run_from_spec_to_record(prepared):
    folder, specs = prepared
    seen = []
    for arm in ("byte-ar", "bpe-mdm"):
        spec = specs[arm]
        record = train_run(spec, folder, lambda *event: seen.append(event))
        assert record == read_record(folder.run(spec.id) / "record.json", RunRecord, "train")
        assert record.status == "finished"
        assert record.spent_flops == pytest.approx(spec.flops, rel=0.01)
        assert record.counted_supervised_step_flops == record.analytic_supervised_step_flops
        assert record.test.bpb < 6
        assert (record.test.bpb_se > 0) is (spec.objective == "mdm")
        assert set(record.update_rms) == {"embedding", "head", "body", "gains"}
        assert not (folder.run(spec.id) / "checkpoint.safetensors").exists()
        weights = load_file(folder.run(spec.id) / "weights.safetensors")
        assert sum(w.numel() for w in weights.values()) == (
            spec.embedding_parameters + spec.head_parameters + spec.non_embedding_parameters
        )
        assert seen[-1][:2] == (spec.id, spec.steps)


def test_two_equal_runs_have_equal_records(prepared, tmp_path):
    del tmp_path
    folder, specs = prepared
    first = train_run(specs["byte-ar"], folder, lambda *_: None)
    second = train_run(specs["byte-ar"], folder, lambda *_: None)
    assert first == second


def test_a_plan_for_a_gpu_says_so_where_there_is_none(prepared, tmp_path, monkeypatch):
    _, specs = prepared
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = specs["byte-ar"]
    spec = spec.model_copy(update={"numerics": spec.numerics.model_copy(update={"device": "cuda"})})
    folder = Folder(tmp_path)
    write_record(folder.plan, Plan(inputs="", study="s", workers=1, rounds=0, runs=[spec]))
    with pytest.raises(BytegapError, match="there is none here"):
        train_stage.run(folder)


def test_what_checkpoints_took_is_told_and_sets_how_far_apart_they_are(prepared, monkeypatch):
    """On a clock where a step takes a second and a checkpoint two."""
    folder, specs = prepared
    spec = specs["byte-ar"].model_copy(update={"steps": 300, "seed": 5})
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now, perf_counter=lambda: clock.now)
    steps, write, at = Training.steps, checkpoint.write, []

    def stepping(training):
        for step in steps(training):
            clock.now += 1
            yield step

    def writing(path, training):
        at.append(training.step)
        clock.now += 2
        write(path, training)

    monkeypatch.setattr(run, "time", clock)
    monkeypatch.setattr(Training, "steps", stepping)
    monkeypatch.setattr(checkpoint, "write", writing)
    train_run(spec, folder, lambda *_: None)
    assert at == [61, 162, 263, 300]  # a minute; fifty times two seconds; the last step's
    timings = read_record(folder.run(spec.id) / "timings.json", Timings, "train")
    assert (timings.train_s, timings.checkpoint_s) == (308, 8)
