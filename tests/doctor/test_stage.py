"""The doctor names what was done to a study folder, file by file, and nothing that is well."""

import shutil

import pytest
from filelock import FileLock

from bytegap.corpus import stage as corpus
from bytegap.doctor import stage
from bytegap.errors import StoreError
from bytegap.plan import stage as plan
from bytegap.records import Plan, RunRecord
from bytegap.runs import stage as runs
from bytegap.store import Folder, read_record, write_record
from bytegap.study import load
from bytegap.tokens import stage as tokens
from bytegap.train import stage as train
from tests.tiny import STUDY, write_study

QUICK = STUDY.replace("budgets = [1e10]", "budgets = [2e9]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("doctor")
    study, folder = load(write_study(home, QUICK)), Folder(home / "out")
    corpus.run(study, folder)
    tokens.run(study, folder)
    plan.run(study, folder)
    train.run(folder)
    runs.run(folder, show=False)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    shutil.copytree(finished.root, tmp_path / "out")
    return Folder(tmp_path / "out")


def specs(folder):
    return read_record(folder.plan, Plan, "plan").runs


def said(folder, capsys):
    with pytest.raises(StoreError, match="to mend"):
        stage.run(folder)
    return capsys.readouterr().err.replace("\n", " ").replace("  ", " ")


def test_a_healthy_folder_is_well(folder, capsys):
    stage.run(folder)
    assert "all is well" in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="is not there: run 'bytegap quickstart'"):
        stage.run(Folder(tmp_path / "none"))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("corpus/train*", "checksum differs from its manifest"),
        ("tokens/bpe/train*", "checksum differs from its manifest"),
        ("tokens/windows/*test*", "checksum differs from its manifest"),
        ("tokens/windows.json", "damaged or of another version"),
        ("plan.json", "damaged or of another version"),
        ("runs.jsonl", "run 'bytegap runs' again"),
        ("audit.json", "damaged or of another version"),
    ],
)
def test_an_altered_file_is_named(folder, capsys, pattern, words):
    path = min(folder.root.glob(pattern))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 4]) + whole[len(whole) // 2 + 1 :])
    found = said(folder, capsys)
    assert path.name in found
    assert words in found


def test_weights_that_are_not_the_records(folder, capsys):
    first, second, *_ = specs(folder)
    with (folder.run(first.id) / "weights.safetensors").open("ab") as file:
        file.write(b"!")
    (folder.run(second.id) / "weights.safetensors").unlink()
    found = said(folder, capsys)
    assert "weights.safetensors is not what its record vouches for" in found
    assert "is missing, which only 'bytegap probe' needs" in found


def test_a_run_of_another_plan_and_a_failed_one(folder, capsys):
    first, second, *_ = specs(folder)
    write_record(folder.run(first.id) / "spec.json", second)
    record = read_record(folder.run(second.id) / "record.json", RunRecord, "train")
    failed = record.model_copy(update={"status": "failed", "reason": "the loss is not finite"})
    write_record(folder.run(second.id) / "record.json", failed)
    shutil.copytree(folder.run(first.id), folder.run("0123456789ab"))
    found = said(folder, capsys)
    assert "holds another run than the plan's" in found
    assert "failed: the loss is not finite: delete" in found
    assert "belongs to no run of the plan" in found


def test_leftovers_and_a_torn_checkpoint_but_not_while_somebody_works(folder, capsys):
    home = folder.run(specs(folder)[0].id)
    (home / "record.json").unlink()
    (home / "checkpoint.safetensors").write_bytes(b"torn")
    (folder.root / ".plan.json.x7").write_text("half")
    found = said(folder, capsys)
    assert "checkpoint.safetensors is damaged" in found
    assert "was being written when its writer was killed" in found
    assert "1 of 8 runs are still to be trained" in found
    with FileLock(home / "lock"):
        stage.run(folder)
    assert "is being trained now" in capsys.readouterr().err.replace("\n", " ")


def test_a_disk_too_small(folder, capsys, monkeypatch):
    (folder.run(specs(folder)[0].id) / "record.json").unlink()
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1))
    assert "make room" in said(folder, capsys)
