"""Checkpoints that are damaged, or of another model."""

import torch

from bytegap.study.directory import RunDir
from bytegap.train import checkpoint
from tests.helpers.trainers import train_to_end, weights_of


def test_a_damaged_checkpoint_is_named_and_the_previous_one_resumed(tiny, tmp_path, capsys):
    unbroken, run_dir = tiny.trainer("byte-ar"), RunDir(tmp_path)
    for done in unbroken.steps():
        if done in {4, 8}:
            checkpoint.write(run_dir, unbroken)
    path = run_dir.checkpoint_path
    good = path.read_bytes()
    for torn in (good[:-100], good[: len(good) // 2], b"", good[:-1] + bytes([good[-1] ^ 1]), b"\xff" * 64):
        path.write_bytes(torn)
        resumed = tiny.trainer("byte-ar")
        checkpoint.resume(run_dir, resumed)
        assert resumed.step == 4
        assert f"{path} is damaged" in capsys.readouterr().err.replace("\n", "")
    train_to_end(resumed)
    assert all(torch.equal(weight, weights_of(resumed)[name]) for name, weight in weights_of(unbroken).items())
    run_dir.previous_checkpoint_path.write_bytes(b"")
    fresh = tiny.trainer("byte-ar")
    checkpoint.resume(run_dir, fresh)
    assert fresh.step == 0


def test_a_checkpoint_of_another_model_is_not_read(tiny, tmp_path, capsys):
    checkpoint.write(RunDir(tmp_path), tiny.trainer("bpe-mdm"))
    trainer = tiny.trainer("byte-ar")
    before = weights_of(trainer)
    checkpoint.resume(RunDir(tmp_path), trainer)
    assert "is of another model" in capsys.readouterr().err.replace("\n", " ")
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(trainer).items())
