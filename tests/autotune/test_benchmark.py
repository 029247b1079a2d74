"""Benchmarks of executions: their gradients are compared, and errors in worker processes are reported."""

import pickle
from dataclasses import replace

import pytest

from bytegap.autotune import benchmark as module
from bytegap.autotune.backends import ExecutionPlan, default_execution
from bytegap.autotune.benchmark import BenchmarkResult, benchmark_or_none, gradients_match, time_in_worker
from bytegap.autotune.step_timer import has_attention_mask, make_step
from bytegap.models.base import model_family
from bytegap.nn.attention import BACKENDS
from bytegap.study.config import Compute
from tests.runs.test_audit import run as a_run

DEFAULT = default_execution(Compute())


def small_run(d_model=8, **changes):
    """A run of our Transformer of that width; sequences of 64 tokens."""
    sizes = model_family("transformer").sizes(n_ids=259, max_positions=65)
    shape = next(config for config in sizes if config.d_model == d_model).model_dump()
    update = {"model_shape": shape, "seq_len": 64, "batch_size": 8, "execution": DEFAULT} | changes
    return a_run("byte-ar")[0].model_copy(update=update)


def wrong(change):
    return lambda q, k, v, attention: BACKENDS["sdpa"](*change(q, k, v), attention)


WRONG = {
    "queries get no gradient": wrong(lambda q, k, v: (q.detach(), k, v)),
    "keys get no gradient": wrong(lambda q, k, v: (q, k.detach(), v)),
    "scale": wrong(lambda q, k, v: (2 * q, k, v)),
    "mask": lambda q, k, v, attention: BACKENDS["sdpa"](q, k, v, replace(attention, mask=None)),
}


@pytest.mark.parametrize("d_model", [16, 64])
def test_errors_in_attention_show_in_gradient_norms_and_bfloat16_does_not(monkeypatch, d_model):
    for name, backend in WRONG.items():
        monkeypatch.setitem(BACKENDS, name, backend)
    run = small_run(d_model, objective="block_diffusion")

    def result(**changes):
        execution = DEFAULT.model_copy(update=changes)
        step = make_step(run.model_copy(update={"execution": execution}))
        norms = [norm for _ in range(2) if step.take() for norm in step.gradient_norms()]
        return execution, BenchmarkResult((), gradient_norms={"probe": tuple(norms)})

    reference = result()[1].gradient_norms
    assert gradients_match(*result(dtype="bfloat16", attention="matmul"), reference)
    for name in WRONG:
        assert not gradients_match(*result(attention=name), reference), name


def test_differences_of_negligible_gradients_are_ignored():
    reference = {"probe": (1.0, 1e-5)}
    assert gradients_match(DEFAULT, BenchmarkResult((), gradient_norms={"probe": (1.0, 0.0)}), reference)
    assert not gradients_match(DEFAULT, BenchmarkResult((), gradient_norms={"probe": (1.0, 1e-2)}), reference)


def test_objectives_with_an_attention_mask_are_known():
    masked = {name: has_attention_mask(small_run(objective=name)) for name in ("ar", "mdm", "block_diffusion")}
    assert masked == {"ar": False, "mdm": False, "block_diffusion": True}


class CompilerError(Exception):
    """An error that cannot be unpickled, as those of torch.compile."""

    def __init__(self, inner, frame):
        super().__init__(f"{inner} in {frame}")
        self.inner_exception = inner


def test_an_error_in_a_worker_can_be_pickled(monkeypatch):
    def fail(_run):
        raise CompilerError(ValueError("no kernel for this\nand more"), frame="step")

    monkeypatch.setattr(module, "make_step", fail)
    with pytest.raises(RuntimeError, match=r"^ValueError: no kernel for this$") as raised:
        time_in_worker([[small_run()]], 0)
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(CompilerError(ValueError(), "step")))
    assert str(pickle.loads(pickle.dumps(raised.value))) == "ValueError: no kernel for this"


def test_an_execution_that_fails_in_its_worker_is_left_out(capsys):
    execution = DEFAULT.model_copy(update={"attention": "missing"})
    assert benchmark_or_none([small_run()], ExecutionPlan(execution, 1), {}) is None
    assert "with 1 workers: unavailable: KeyError: 'missing'" in " ".join(capsys.readouterr().err.split())
