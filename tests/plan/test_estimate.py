"""What a plan says of memory, against a process that trains."""

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from bytegap.models import transformer
from bytegap.plan import estimate, rules
from bytegap.records import Numerics
from bytegap.train import checkpoint
from bytegap.train.loop import Training
from tests.runs.test_audit import run as a_run

ROW, ROWS = 256, 6


def spec(objective, symbols):
    ladder = transformer.ladder(vocabulary=symbols + 3, positions=ROW + 1)
    shape = next(shape for shape in ladder if shape.width == 384)
    size = transformer.parameters(shape)
    changes = {
        "embedding_parameters": size.embedding,
        "head_parameters": size.head,
        "non_embedding_parameters": size.non_embedding,
        "objective": objective,
        "shape": shape.model_dump(),
        "row_symbols": ROW,
        "rows_per_batch": ROWS,
        "steps": 2,
        "optimiser": rules.optimiser(size.non_embedding, 2),
        "numerics": Numerics(device="cpu", dtype="float32", threads=1, attention="sdpa", compile=False),
    }
    return a_run("byte-ar")[0].model_copy(update=changes)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def trained(run, path):
    """Bytes that a run takes beyond those of the libraries, which differ from one environment to the next."""
    loaded = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()
    torch.set_num_threads(1)
    symbols = np.random.default_rng(0).integers(0, run.shape["vocabulary"] - 3, 4 * ROW * ROWS).astype(np.uint16)
    training = Training(run, symbols)
    list(training.steps())
    checkpoint.write(path / "checkpoint", training)
    return peak() - loaded


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "symbols"), [("ar", 256), ("mdm", 8192)])
def test_memory_is_as_the_plan_says(tmp_path, objective, symbols):
    run = spec(objective, symbols)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        measured = pool.submit(trained, run, tmp_path).result()
    assert estimate.peak_bytes(run) - estimate.LOADED_BYTES == pytest.approx(
        measured, rel=0.4
    )  # what malloc does not give back is not modelled
