"""Curves: the same run whoever watches, the same points however often it was killed, no watcher that is not there."""

import shutil
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bytegap.cli import main
from bytegap.corpus import stage as corpus
from bytegap.errors import StudyError
from bytegap.plan import stage as plan_stage
from bytegap.store import Folder
from bytegap.study import Track
from bytegap.tokens import stage as tokens
from bytegap.train import checkpoint, run
from bytegap.train import stage as train_stage
from bytegap.train.loop import learning_rate
from bytegap.train.run import train_run
from tests.tiny import STUDY, opened, write_study

TENSORBOARD = Track(to="tensorboard")


@pytest.fixture(scope="module")
def tokenised(tmp_path_factory):
    study, folder = opened(tmp_path_factory.mktemp("track"))
    corpus.run(study, folder)
    tokens.run(study, folder)
    torch.set_num_threads(1)
    return study, folder, plan_stage.run(study, folder).runs[0]


@pytest.fixture
def prepared(tokenised, tmp_path):
    """A folder of its own, and a run of 300 steps."""
    _, folder, spec = tokenised
    shutil.copytree(folder.root, tmp_path / "tiny")
    short = {name: getattr(spec, name) * 300 // spec.steps for name in ("symbols", "flops")}
    return Folder(tmp_path / "tiny"), spec.model_copy(update={"steps": 300} | short)


def shown(folder, axis):
    """What TensorBoard itself shows of the only run there: name to (x, value)."""
    [home] = (folder.root / "tensorboard" / axis).iterdir()
    events = EventAccumulator(str(home)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_record_is_the_same_whoever_watches(prepared):
    folder, spec = prepared
    alone = train_run(spec, folder, lambda *_: None)
    assert not (folder.root / "tensorboard").exists()
    before = (folder.run(spec.id) / "record.json").read_bytes()
    watched = train_run(spec, folder, lambda *_: None, track=TENSORBOARD)
    assert watched == alone
    assert (folder.run(spec.id) / "record.json").read_bytes() == before


def test_curves_are_what_the_run_was(prepared, monkeypatch):
    folder, spec = prepared
    kept = []
    ledger_of = run._record
    monkeypatch.setattr(run, "_record", lambda training, **more: kept.append(training) or ledger_of(training, **more))
    record = train_run(spec, folder, lambda *_: None, track=TENSORBOARD)
    ledger = kept[0].ledger
    curves = shown(folder, "symbols")
    stretch = -(-spec.steps // 256)
    ends = [*range(stretch, spec.steps, stretch), spec.steps]
    a_step = spec.rows_per_batch * spec.row_symbols
    for name, values in (("loss_nats", ledger.losses), ("gradient_norm", ledger.norms)):
        starts = [0, *ends[:-1]]
        truth = [(end * a_step, np.mean(values[start:end])) for start, end in zip(starts, ends, strict=True)]
        assert [x for x, _ in curves[name]] == [x for x, _ in truth]
        assert [y for _, y in curves[name]] == pytest.approx([y for _, y in truth], rel=1e-6)
    rates = [learning_rate(spec.optimiser, end - 1, spec.steps) for end in ends]
    assert [y for _, y in curves["learning_rate"]] == pytest.approx(rates, rel=1e-6)
    assert all(y > 0 for _, y in curves["symbols_per_s"])
    assert curves["test_bpb"] == [(spec.symbols, pytest.approx(record.test.bpb, rel=1e-6))]
    assert curves["validation_bpb"] == [(spec.symbols, pytest.approx(record.validation.bpb, rel=1e-6))]
    by_flops = shown(folder, "megaflops")
    assert by_flops.keys() == curves.keys()
    assert by_flops["test_bpb"][0][0] == int(spec.flops / 1e6)
    assert [y for _, y in by_flops["loss_nats"]] == [y for _, y in curves["loss_nats"]]


def test_a_killed_and_resumed_run_has_the_same_points(prepared, monkeypatch):
    """Killed after points that its checkpoint does not know of: they are purged, and told again."""
    folder, spec = prepared
    train_run(spec, folder, lambda *_: None, track=TENSORBOARD)
    whole = shown(folder, "symbols")
    for axis in ("symbols", "megaflops"):
        for file in (folder.root / "tensorboard" / axis).glob("*/*"):
            file.unlink()
    steps = run.Training.steps

    def killed(training):
        for step in steps(training):
            if step == 101:
                checkpoint.write(folder.run(spec.id) / "checkpoint.safetensors", training)
            if step == 200:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(run.Training, "steps", killed)
    with pytest.raises(KeyboardInterrupt):
        train_run(spec, folder, lambda *_: None, track=TENSORBOARD)
    assert shown(folder, "symbols")["loss_nats"][-1][0] == 198 * spec.symbols // 300
    monkeypatch.setattr(run.Training, "steps", steps)
    train_run(spec, folder, lambda *_: None, track=TENSORBOARD)
    again = shown(folder, "symbols")
    for name in whole.keys() - {"symbols_per_s"}:
        assert again[name] == whole[name], name


@dataclass
class Watched:
    """What stands in for `wandb`: what it is told."""

    asked: dict = field(default_factory=dict)
    told: list = field(default_factory=list)
    finished: int = 0

    class Error(Exception):
        pass

    def Settings(self, **settings):
        return settings

    def init(self, **asked):
        self.asked = asked
        return self

    def define_metric(self, name, step_metric):
        assert (name, step_metric) == ("*", "symbols")

    def log(self, values, step):
        self.told.append((step, values))

    def finish(self):
        self.finished += 1


def test_wandb_is_told_by_its_own_client(prepared, monkeypatch):
    folder, spec = prepared
    stub = Watched()
    monkeypatch.setitem(sys.modules, "wandb", stub)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    record = train_run(spec, folder, lambda *_: None, track=Track(to="wandb", project="ours"))
    assert (stub.asked["project"], stub.asked["id"], stub.asked["resume"]) == ("ours", spec.id, "allow")
    assert stub.asked["config"]["non_embedding_parameters"] == spec.non_embedding_parameters
    step, last = stub.told[-1]
    assert step == spec.steps
    assert last["test_bpb"] == record.test.bpb
    assert last["symbols"] == pytest.approx(spec.symbols)
    assert last["megaflops"] == pytest.approx(spec.flops / 1e6)
    assert stub.told[-2][1]["loss_nats"] == pytest.approx(record.loss_curve[-1][1], rel=0.1)
    assert stub.finished == 1

    def refuses(**_):
        raise Watched.Error(*["No API key configured. Use ..."])

    stub.init = refuses
    with pytest.raises(StudyError, match=r"to = 'wandb': No API key configured: run 'wandb login', set WANDB_MODE"):
        train_run(spec, folder, lambda *_: None, track=Track(to="wandb"))


@pytest.mark.slow
def test_wandb_itself_writes_offline(prepared, monkeypatch):
    pytest.importorskip("wandb")
    folder, spec = prepared
    alone = train_run(spec, folder, lambda *_: None)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert train_run(spec, folder, lambda *_: None, track=Track(to="wandb")) == alone
    [kept] = folder.root.glob(f"wandb/offline-run-*-{spec.id}/run-{spec.id}.wandb")
    assert kept.stat().st_size > 1000


def test_the_plan_does_not_know_who_watches(tokenised):
    study, folder, _ = tokenised
    watched = study.model_copy(update={"track": TENSORBOARD})
    assert plan_stage.resolve(watched, folder) == plan_stage.resolve(study, folder)
    other = study.model_copy(update={"seed": 9})
    assert plan_stage.resolve(other, folder) != plan_stage.resolve(study, folder)


@pytest.mark.slow
def test_a_study_says_where_and_every_worker_writes(tmp_path):
    study = write_study(tmp_path, STUDY + '\n[track]\nto = "tensorboard"\n')
    for verb in ("corpus", "tokens", "plan", "train"):
        assert main([verb, str(study), "--out", str(tmp_path / "out")]) == 0
    home = tmp_path / "out" / "tiny"
    for arm in ("byte-ar", "bpe-mdm"):
        for axis in ("symbols", "megaflops"):
            assert len(list(home.glob(f"tensorboard/{axis}/{arm}-*/events*"))) == 4


@pytest.mark.parametrize(("to", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_watcher_that_is_not_installed_is_one_sentence(tokenised, tmp_path, monkeypatch, to, package):
    folder = Folder(tmp_path / "tiny")
    shutil.copytree(tokenised[1].root, folder.root)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StudyError, match=rf"\[track\] to = '{to}' needs the package {package}: pip install"):
        train_stage.run(folder, track=Track(to=to))
