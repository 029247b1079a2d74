"""Logged curves: they change nothing in a run, and a run that was killed and resumed has the same points."""

import shutil
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bytegap.cli.main import main
from bytegap.errors import StudyError
from bytegap.launch import local
from bytegap.plan import stage as plan
from bytegap.study.config import Logging
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
from bytegap.train import checkpoint, run
from bytegap.train.optimizer import learning_rate
from bytegap.train.run import train_run
from bytegap.train.trainer import RunOptions, Trainer
from tests.helpers.tiny_study import STUDY, write_study
from tests.helpers.trainers import shortened

TENSORBOARD = RunOptions(logging=Logging(to="tensorboard"))
WANDB = RunOptions(logging=Logging(to="wandb"))


@pytest.fixture
def own(tiny, tmp_path):
    """A study folder of its own, and a run of 300 steps."""
    shutil.copytree(tiny.study_dir.root, tmp_path / "tiny", ignore=shutil.ignore_patterns("runs"))
    return StudyDir(tmp_path / "tiny"), shortened(tiny.study_dir.plan().runs[0], 300)


def curves_of(study_dir, axis):
    """What TensorBoard itself reads of the only run there: name to (x, value)."""
    [folder] = (study_dir.root / "tensorboard" / axis).iterdir()
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_record_is_the_same_with_and_without_logging(own):
    study_dir, spec = own
    path = study_dir.run(spec.id).path / "record.json"
    without = train_run(spec, study_dir)
    assert not (study_dir.root / "tensorboard").exists()
    before = path.read_bytes()
    assert train_run(spec, study_dir, TENSORBOARD) == without
    assert path.read_bytes() == before


def test_curves_show_the_metrics_of_the_run(own, monkeypatch):
    study_dir, spec = own
    trainers = []
    record_of = run._record
    monkeypatch.setattr(run, "_record", lambda trainer, **more: trainers.append(trainer) or record_of(trainer, **more))
    record = train_run(spec, study_dir, TENSORBOARD)
    metrics = trainers[0].metrics
    curves = curves_of(study_dir, "tokens")
    stretch = -(-spec.steps // 256)
    ends = [*range(stretch, spec.steps, stretch), spec.steps]
    tokens_per_step = spec.batch_size * spec.seq_len
    for name, values in (("loss_nats", metrics.losses), ("gradient_norm", metrics.grad_norms)):
        starts = [0, *ends[:-1]]
        expected = [
            (end * tokens_per_step, np.mean(values[start:end])) for start, end in zip(starts, ends, strict=True)
        ]
        assert [x for x, _ in curves[name]] == [x for x, _ in expected]
        assert [y for _, y in curves[name]] == pytest.approx([y for _, y in expected], rel=1e-6)
    rates = [learning_rate(spec.optimizer, end - 1, spec.steps) for end in ends]
    assert [y for _, y in curves["learning_rate"]] == pytest.approx(rates, rel=1e-6)
    assert all(y > 0 for _, y in curves["tokens_per_s"])
    assert curves["test_bpb"] == [(spec.tokens, pytest.approx(record.test.bpb, rel=1e-6))]
    assert curves["validation_bpb"] == [(spec.tokens, pytest.approx(record.validation.bpb, rel=1e-6))]
    by_flops = curves_of(study_dir, "megaflops")
    assert by_flops.keys() == curves.keys()
    assert by_flops["test_bpb"][0][0] == int(spec.flops / 1e6)
    assert [y for _, y in by_flops["loss_nats"]] == [y for _, y in curves["loss_nats"]]


def test_a_killed_and_resumed_run_has_the_same_points(own, monkeypatch):
    """Killed after points that its checkpoint does not include: they are purged and logged again."""
    study_dir, spec = own
    train_run(spec, study_dir, TENSORBOARD)
    unbroken = curves_of(study_dir, "tokens")
    for axis in ("tokens", "megaflops"):
        for file in (study_dir.root / "tensorboard" / axis).glob("*/*"):
            file.unlink()
    steps = Trainer.steps

    def killed(trainer):
        for step in steps(trainer):
            if step == 101:
                checkpoint.write(study_dir.run(spec.id), trainer)
            if step == 200:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(Trainer, "steps", killed)
    with pytest.raises(KeyboardInterrupt):
        train_run(spec, study_dir, TENSORBOARD)
    assert curves_of(study_dir, "tokens")["loss_nats"][-1][0] == 198 * spec.tokens // 300
    monkeypatch.setattr(Trainer, "steps", steps)
    train_run(spec, study_dir, TENSORBOARD)
    resumed = curves_of(study_dir, "tokens")
    for name in unbroken.keys() - {"tokens_per_s"}:
        assert resumed[name] == unbroken[name], name


@dataclass
class FakeWandb:
    """A stand-in for the module `wandb` that records its calls."""

    arguments: dict = field(default_factory=dict)
    logged: list = field(default_factory=list)
    finished: int = 0

    class Error(Exception):
        pass

    def Settings(self, **settings):
        return settings

    def init(self, **arguments):
        self.arguments = arguments
        return self

    def define_metric(self, name, step_metric):
        assert (name, step_metric) == ("*", "tokens")

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished += 1


def test_wandb_gets_the_run_through_its_own_client(own, monkeypatch):
    study_dir, spec = own
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    record = train_run(spec, study_dir, RunOptions(logging=Logging(to="wandb", project="ours")))
    assert (fake.arguments["project"], fake.arguments["id"], fake.arguments["resume"]) == ("ours", spec.id, "allow")
    assert fake.arguments["config"]["non_embedding_parameters"] == spec.non_embedding_parameters
    step, last = fake.logged[-1]
    assert step == spec.steps
    assert last["test_bpb"] == record.test.bpb
    assert last["tokens"] == pytest.approx(spec.tokens)
    assert last["megaflops"] == pytest.approx(spec.flops / 1e6)
    assert fake.logged[-2][1]["loss_nats"] == pytest.approx(record.loss_curve[-1][1], rel=0.1)
    assert fake.finished == 1

    def refuse(**_):
        raise FakeWandb.Error(*["No API key configured. Use ..."])

    fake.init = refuse
    with pytest.raises(StudyError, match=r"to = 'wandb': No API key configured: run 'wandb login', set WANDB_MODE"):
        train_run(spec, study_dir, WANDB)


@pytest.mark.slow
def test_wandb_itself_writes_offline(own, monkeypatch):
    pytest.importorskip("wandb")
    study_dir, spec = own
    without = train_run(spec, study_dir)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert train_run(spec, study_dir, WANDB) == without
    [kept] = study_dir.root.glob(f"wandb/offline-run-*-{spec.id}/run-{spec.id}.wandb")
    assert kept.stat().st_size > 1000


def test_the_plan_does_not_depend_on_logging(tiny):
    study = load_study(tiny.study_dir.root.parents[1] / "tiny.toml")
    logged = study.model_copy(update={"logging": TENSORBOARD.logging})
    assert plan.resolve_plan(logged, tiny.study_dir) == plan.resolve_plan(study, tiny.study_dir)
    other = study.model_copy(update={"seed": 9})
    assert plan.resolve_plan(other, tiny.study_dir) != plan.resolve_plan(study, tiny.study_dir)


@pytest.mark.slow
def test_every_worker_of_a_study_logs(tmp_path):
    study = write_study(tmp_path, STUDY + '\n[logging]\nto = "tensorboard"\n')
    for verb in ("corpus", "tokenize", "plan", "train"):
        assert main([verb, str(study), "--out", str(tmp_path / "out")]) == 0
    for axis in ("tokens", "megaflops"):
        for arm in ("byte-ar", "bpe-mdm"):
            assert len(list((tmp_path / "out" / "tiny").glob(f"tensorboard/{axis}/{arm}-*/events*"))) == 4


@pytest.mark.parametrize(("to", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_logger_that_is_not_installed_is_named(own, monkeypatch, to, package):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StudyError, match=rf"\[logging\] to = '{to}' needs the package {package}: pip install"):
        local.run(own[0], options=RunOptions(logging=Logging(to=to)))
