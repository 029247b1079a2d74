"""Claims on runs: one process trains a run, others wait, a record ends it."""

import errno
import fcntl
import os
import shutil

import pytest
import torch
from filelock import FileLock

from bytegap.cli.main import main
from bytegap.errors import BytegapError, FileError, StudyDirError
from bytegap.launch import claim, local
from bytegap.launch.claim import check_token_files, claim_and_train
from bytegap.launch.lock import is_claimed
from bytegap.study.directory import PLAN, RECORD, StudyDir
from bytegap.train.run import ignore
from bytegap.train.signals import StopSignal
from bytegap.train.trainer import DEFAULT_OPTIONS


@pytest.fixture
def own(tiny, tmp_path):
    """A study folder of its own, and a short run of it."""
    shutil.copytree(tiny.study_dir.root, tmp_path / "tiny", ignore=shutil.ignore_patterns("runs"))
    return StudyDir(tmp_path / "tiny"), tiny.spec("byte-ar", steps=4)


def attempt(study_dir, spec):
    return claim_and_train(spec, study_dir, DEFAULT_OPTIONS, ignore, StopSignal())


def test_a_run_is_trained_once(own, monkeypatch):
    study_dir, spec = own
    first = attempt(study_dir, spec)
    assert first.trained == study_dir.run(spec.id).record()
    assert not first.claimed_elsewhere
    monkeypatch.setattr(claim, "train_run", None)
    assert attempt(study_dir, spec) == claim.ClaimResult(claimed_elsewhere=False)


def test_a_claimed_run_is_left_alone(own, monkeypatch):
    study_dir, spec = own
    run_dir = study_dir.run(spec.id)
    run_dir.path.mkdir(parents=True)
    monkeypatch.setattr(claim, "train_run", None)
    with FileLock(run_dir.lock_path):
        assert is_claimed(run_dir)
        assert attempt(study_dir, spec) == claim.ClaimResult(claimed_elsewhere=True)
    assert run_dir.lock_path.exists()
    assert not is_claimed(run_dir), "a lock file that no process has locked"


def test_the_claim_is_held_while_the_run_is_trained_and_free_after_an_error(own, monkeypatch):
    study_dir, spec = own

    def fail(*_):
        assert is_claimed(study_dir.run(spec.id))
        raise StudyDirError("no space")

    monkeypatch.setattr(claim, "train_run", fail)
    with pytest.raises(StudyDirError):
        attempt(study_dir, spec)
    assert not is_claimed(study_dir.run(spec.id))


def test_a_damaged_record_is_named_and_its_run_trained_again(own, capsys):
    study_dir, spec = own
    path = study_dir.path(RECORD, spec.id)
    record = attempt(study_dir, spec).trained
    path.write_text("{")
    assert claim.runs_to_train(study_dir, [spec]) == [spec]
    assert attempt(study_dir, spec).trained == record
    printed = "".join(capsys.readouterr().err.split())
    assert printed.count("record.json") == printed.count("record.jsonisdamaged:therunistrainedagain") == 1


def test_a_plan_for_a_gpu_is_refused_without_one(own, monkeypatch):
    study_dir, spec = own
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = spec.model_copy(update={"execution": spec.execution.model_copy(update={"device": "cuda"})})
    study_dir.write(PLAN, study_dir.plan().model_copy(update={"runs": [spec]}))
    with pytest.raises(BytegapError, match="is for a GPU, and this machine has none"):
        local.run(study_dir)


@pytest.mark.parametrize(
    "file", ["bpe/train.tokens", "bpe/lengths", "bpe/tokenizer.json", "windows/test.bpe.tokens", "windows/test.starts"]
)
def test_all_that_a_run_reads_of_the_tokens_is_verified_before_it_is_trained(own, file):
    study_dir, spec = own
    spec = spec.model_copy(update={"objective": "whole_word_mdm", "objective_options": {"units": "bpe"}})
    check_token_files(study_dir, [spec])
    path = study_dir.tokens_dir / file
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(
        StudyDirError,
        match=f"tokens/{file}: checksum differs.*delete .*{file.split('/')[0]} and run 'bytegap tokenize' again",
    ):
        check_token_files(study_dir, [spec])


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(own, monkeypatch, number):
    """Two workers could train one run there."""
    study_dir, spec = own

    def no_locks(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(FileError, match="no locks"):
        attempt(study_dir, spec)
    assert not is_claimed(study_dir.run(spec.id))


def test_looking_for_claims_writes_nothing(own):
    study_dir, spec = own
    run_dir = study_dir.run(spec.id)
    assert not is_claimed(run_dir)
    assert not run_dir.path.exists()
    run_dir.path.mkdir(parents=True)
    with FileLock(run_dir.lock_path):
        before = run_dir.lock_path.stat()
        assert is_claimed(run_dir)
    run_dir.lock_path.chmod(0o444)
    assert not is_claimed(run_dir)
    assert run_dir.lock_path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("value", ["abc", "-1", "0", "2.5"])
def test_an_alien_world_size_is_one_sentence(monkeypatch, capsys, value):
    monkeypatch.setenv("WORLD_SIZE", value)
    assert main(["train", "study.toml"]) == 2
    assert "WORLD_SIZE" in capsys.readouterr().err


def test_an_empty_world_size_is_none(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert main(["train", "absent.toml"]) == 2
    assert "absent.toml" in capsys.readouterr().err
