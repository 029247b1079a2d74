"""The estimate of a training process's memory, compared with a process that trains."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from bytegap.autotune.memory import LIBRARY_BYTES, peak_bytes, saved_activation_bytes
from bytegap.models.base import model_family
from bytegap.plan.hyperparameters import optimizer
from bytegap.schema.plan import Execution
from bytegap.study.directory import RunDir
from bytegap.train import checkpoint
from bytegap.train.trainer import Trainer
from tests.runs.test_audit import run as a_run

SEQ_LEN, BATCH_SIZE = 256, 6


def planned_run(objective, vocab_size, d_model=384):
    sizes = model_family("transformer").sizes(n_ids=vocab_size + 3, max_positions=SEQ_LEN + 1)
    config = next(config for config in sizes if config.d_model == d_model)
    parameters = config.parameters()
    changes = {
        "embedding_parameters": parameters.embedding,
        "head_parameters": parameters.head,
        "non_embedding_parameters": parameters.non_embedding,
        "objective": objective,
        "model_shape": config.model_dump(),
        "seq_len": SEQ_LEN,
        "batch_size": BATCH_SIZE,
        "steps": 2,
        "optimizer": optimizer(parameters.non_embedding, 2),
        "execution": Execution(device="cpu", dtype="float32", threads=1, attention="sdpa", compile=False),
    }
    return a_run("byte-ar")[0].model_copy(update=changes)


def memory_bytes(name):
    """A value of this process's own memory map.

    `resource.getrusage` is no substitute: on Linux a new process inherits the peak of the one that started it, such as
    a test process whose earlier tests needed more.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def training_bytes(run, path):
    """Peak memory of training, checkpoint included, beyond what the libraries take, which depends on the environment.

    Pages of files are left out: how many of the libraries' are mapped depends on what else the machine has in memory.
    """
    loaded = memory_bytes("RssAnon")
    torch.set_num_threads(1)
    vocab_size = run.model_shape["n_ids"] - 3
    tokens = np.random.default_rng(0).integers(0, vocab_size, 4 * SEQ_LEN * BATCH_SIZE).astype(np.uint16)
    trainer = Trainer(run, tokens)
    list(trainer.steps())
    checkpoint.write(RunDir(path), trainer)
    return memory_bytes("VmHWM") - memory_bytes("RssFile") - loaded


def in_new_process(function, *arguments):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "vocab_size"), [("ar", 256), ("mdm", 8192)])
def test_peak_memory_is_as_estimated(tmp_path, objective, vocab_size):
    run = planned_run(objective, vocab_size)
    measured = in_new_process(training_bytes, run, tmp_path)
    # Freed memory that malloc keeps is not modelled.
    assert peak_bytes(run) - LIBRARY_BYTES == pytest.approx(measured, rel=0.4)


def test_measured_peak_is_not_that_of_the_process_that_starts_it():
    before = in_new_process(memory_bytes, "VmHWM")
    ballast = np.ones(64 * 2**20)  # 512 MB, written to
    assert in_new_process(memory_bytes, "VmHWM") < before + ballast.nbytes / 4


def test_saved_activations_grow_with_the_batch():
    one, two, three = (
        saved_activation_bytes(planned_run("mdm", 256, 32).model_copy(update={"batch_size": batch_size}))
        for batch_size in (1, 2, 3)
    )
    assert 0 < one < two
    assert three - two == pytest.approx(two - one, rel=0.01)
