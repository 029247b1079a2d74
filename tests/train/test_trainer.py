"""The trainer: deterministic, resumable to the bit, one loop for every objective."""

import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bytegap.lm import execution
from bytegap.study.directory import RunDir
from bytegap.train import checkpoint
from bytegap.train.trainer import DivergenceError
from tests.helpers.parts import OBJECTIVES
from tests.helpers.trainers import train_to_end, weights_of


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_resumed_run_ends_bit_identical(tiny, tmp_path, objective):
    unbroken = train_to_end(tiny.trainer("byte-ar", objective))
    broken = tiny.trainer("byte-ar", objective)
    list(itertools.islice(broken.steps(), 5))
    checkpoint.write(RunDir(tmp_path), broken)
    resumed = tiny.trainer("byte-ar", objective)
    checkpoint.resume(RunDir(tmp_path), resumed)
    assert resumed.step == 5
    train_to_end(resumed)
    for name, weight in weights_of(unbroken).items():
        assert torch.equal(weight, weights_of(resumed)[name]), name
    assert vars(resumed.metrics) == vars(unbroken.metrics)


class SyncRecorder(TorchDispatchMode):
    """Operations for which the host would wait for its device, in order."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        masks = [each for each in args[1] if each is not None] if operation is aten.index.Tensor else []
        if operation in SYNCHRONIZING or any(mask.dtype is torch.bool for mask in masks):
            self.seen.append(operation)
        return operation(*args, **kwargs or {})


aten = torch.ops.aten
SYNCHRONIZING = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default}


@pytest.mark.parametrize("chunk", [None, 7], ids=["one chunk", "chunks"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_next_batch_is_on_the_device_before_the_host_waits_for_a_step(tiny, objective, chunk, monkeypatch):
    if chunk:
        monkeypatch.setattr(execution, "head_chunk_size", lambda *_: chunk)
    trainer, recorder = tiny.trainer("byte-ar", objective), SyncRecorder()
    micro_batches, steps = trainer.micro_batches, trainer.steps()
    next(steps)
    trainer.micro_batches = lambda step: recorder.seen.append(("batch", step)) or micro_batches(step)
    with recorder:
        next(steps)
    assert recorder.seen[0] == ("batch", 2)
    assert recorder.seen[-1] == aten._local_scalar_dense.default


def test_the_loss_falls_below_that_of_an_initial_model(tiny):
    trainer = train_to_end(tiny.trainer("byte-ar", steps=60))
    # A random head: logits of unit variance.
    assert trainer.metrics.losses[0] == pytest.approx(math.log(trainer.vocabulary.n_ids), abs=0.7)
    assert trainer.metrics.losses[-1] < 0.7 * trainer.metrics.losses[0]


def test_a_gradient_that_is_not_finite_is_a_divergence(tiny):
    trainer = tiny.trainer("byte-ar")
    with torch.no_grad():
        trainer.network.lm_head.weight.fill_(math.nan)
    with pytest.raises(DivergenceError, match="at step 0"):
        list(trainer.steps())


def test_a_loss_that_stays_above_its_start_is_a_divergence(tiny):
    trainer = tiny.trainer("byte-ar", steps=100)
    trainer.metrics.losses = [0.1] * 10 + [9.0] * 29
    trainer.step = 39
    with pytest.raises(DivergenceError, match=r"rose above its start: .* at step 40"):
        list(trainer.steps())
