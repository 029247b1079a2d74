"""Disk space of a plan's runs: one formula, which the dry run and `check` use, and which what training writes obeys."""

import re
import shutil
from types import SimpleNamespace

import pytest

from bytegap.check import stage as check
from bytegap.cost.disk import training_disk_bytes
from bytegap.models.base import model_family
from bytegap.plan.stage import dry_run, make_plan
from bytegap.study.directory import RunDir, StudyDir
from bytegap.train import checkpoint


def test_every_run_leaves_weights_and_the_largest_in_progress_have_checkpoints():
    assert training_disk_bytes([], 2) == 0
    assert training_disk_bytes([10], 1) == 4 * 10 + 3 * 12 * 10
    assert training_disk_bytes([10, 30, 20], 2) == 4 * 60 + 3 * 12 * (30 + 20)


def test_dry_run_and_check_agree(tokenized, tmp_path, monkeypatch, capsys):
    _, study, shared = tokenized
    study_dir = StudyDir(tmp_path / "tiny")
    study_dir.root.mkdir()
    (study_dir.root / "tokens").symlink_to(shared.tokens_dir)
    plan = make_plan(study, study_dir)
    needed = training_disk_bytes([run.parameters for run in plan.runs], plan.workers)
    dry_run(plan, study_dir)
    (printed,) = re.findall(r"(\d+) MB of disk", " ".join(capsys.readouterr().err.split()))
    assert int(printed) == round(needed / 1e6) > 0
    for free in (needed - 1, needed):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert len(list(check._disk(study, study_dir))) == (free < needed)


def test_files_of_a_run_are_counted(tiny, tmp_path, monkeypatch):
    sizes = model_family("transformer").sizes(n_ids=259, max_positions=97)
    config = next(config for config in sizes if config.d_model == 64)
    trainer = tiny.start(tiny.spec("byte-ar", steps=12, model_shape=config.model_dump()))
    steps, run_dir, most = trainer.steps(), RunDir(tmp_path), 0
    write_tensors = checkpoint.write_tensors

    def watched(path, *arguments):
        nonlocal most
        write_tensors(path, *arguments)
        most = max(most, sum(file.stat().st_size for file in tmp_path.iterdir()))

    monkeypatch.setattr(checkpoint, "write_tensors", watched)
    for _ in range(3):
        next(steps)
        checkpoint.write(run_dir, trainer)
    checkpoint.write_weights(run_dir, trainer)
    # Headers of the files and the metrics come on top: a few KB.
    total = config.parameters().total
    assert most == pytest.approx(training_disk_bytes([total], 1) - 4 * total, rel=0.02)
    checkpoint.clear(run_dir)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == pytest.approx(4 * total, rel=0.02)
