"""The execution and the workers that are chosen: those that finish soonest, the same for all runs."""

from itertools import product

import pytest
import torch

from bytegap.autotune import backends, search
from bytegap.autotune.backends import ExecutionPlan, default_execution
from bytegap.autotune.benchmark import BenchmarkResult
from bytegap.autotune.search import autotune, compile_seconds
from bytegap.models.base import model_family
from bytegap.nn.attention import BACKENDS
from bytegap.study.config import Compute
from tests.runs.test_audit import run as a_run

DEFAULT = default_execution(Compute())


def runs(flops=1e12, count=4):
    spec = a_run("byte-ar")[0]
    return [spec.model_copy(update={"flops": flops / count, "seed": seed}) for seed in range(count)]


def smallest_shape():
    return next(model_family("transformer").sizes(n_ids=259, max_positions=97)).model_dump()


@pytest.fixture
def machine(monkeypatch):
    """Four cores; (seconds, benchmarks).

    `seconds` are those of an execution by (dtype, attention, threads, compile), or by these and workers; 100 where it
    has no entry, and out of memory where that is None. ("norm", *execution) is a gradient norm; 1 where it has none.
    `benchmarks` lists (candidates, workers, probes) of every benchmark.
    """
    seconds = {}
    benchmarks = []

    def benchmark(probes, candidates, workers):
        benchmarks.append((candidates, workers, probes))
        keys = [(each.dtype, each.attention, each.threads, each.compile) for each in candidates]
        found = [seconds.get((*key, workers), seconds.get(key, 100.0)) for key in keys]
        if None in found:
            raise RuntimeError("CUDA out of memory")
        run_s = [(s / len(probes),) * len(probes) for s in found]
        norms = [
            {search.step_signature(probe): (2.0, seconds.get(("norm", *key), 1.0)) for probe in probes} for key in keys
        ]
        return {each: BenchmarkResult(s, 3.0, 1.0, n) for each, s, n in zip(candidates, run_s, norms, strict=True)}

    monkeypatch.setattr(backends, "available_cores", lambda: 4)
    monkeypatch.setattr(backends, "usable_dtypes", lambda _: ["float32", "bfloat16"])
    monkeypatch.setattr(search, "benchmark", benchmark)
    monkeypatch.setattr("bytegap.autotune.benchmark.benchmark", benchmark)
    monkeypatch.setattr(search, "has_attention_mask", lambda run: run.objective == "block_diffusion")
    return seconds, benchmarks


def all_eager(seconds, threads=(1, 2, 4), attention=tuple(BACKENDS)):
    """The keys of executions that are not compiled, at so many seconds."""
    return dict.fromkeys(product(("float32", "bfloat16"), attention, threads, (False,)), seconds)


def test_the_fastest_execution_is_chosen(machine):
    seconds, _ = machine
    seconds["bfloat16", "matmul", 1, False] = 50.0
    found = autotune(runs(), Compute())
    expected = DEFAULT.model_copy(update={"dtype": "bfloat16", "attention": "matmul"})
    assert found == ExecutionPlan(expected, workers=4)


@pytest.mark.parametrize("norm", [1.06, float("nan"), float("inf")])
def test_an_execution_with_other_gradients_is_rejected_however_fast(machine, capsys, norm):
    seconds, _ = machine
    seconds["bfloat16", "matmul", 1, False], seconds["norm", "bfloat16", "matmul", 1, False] = 50.0, norm
    seconds["float32", "sdpa", 1, True], seconds["norm", "float32", "sdpa", 1, True] = 1.0, norm
    assert autotune(runs(flops=1e15, count=1), Compute(threads=1)).execution == DEFAULT
    printed = " ".join(capsys.readouterr().err.split())
    assert "bfloat16, attention by matmul, 1 threads a run: rejected: a gradient norm is" in printed
    assert "compiled, float32, attention by sdpa, 1 threads a run: rejected: a gradient norm is" in printed


def test_an_execution_within_rounding_of_the_gradients_is_chosen(machine):
    seconds, _ = machine
    seconds["bfloat16", "matmul", 1, False], seconds["norm", "bfloat16", "matmul", 1, False] = 50.0, 1.002
    assert autotune(runs(), Compute()).execution.dtype == "bfloat16"


def test_a_single_long_run_gets_all_cores(machine):
    seconds, _ = machine
    seconds["float32", "sdpa", 2, False], seconds["float32", "sdpa", 4, False] = 60.0, 40.0
    found = autotune(runs(count=1), Compute())
    assert (found.execution.threads, found.workers) == (4, 1)
    found = autotune(runs(count=16), Compute())
    assert (found.execution.threads, found.workers) == (1, 4), "4 at a time end sooner than each at 2.5 times the speed"


def test_runs_are_compiled_where_that_pays(machine):
    seconds, benchmarks = machine
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 5.0, 3.0
    assert not autotune(runs(), Compute()).execution.compile
    assert not any(each.compile for candidates, *_ in benchmarks for each in candidates), (
        "not tried where it cannot pay"
    )
    seconds |= all_eager(1000.0)
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 500.0, 300.0
    assert autotune(runs(flops=1e15), Compute()).execution.compile
    seconds["float32", "sdpa", 1, True] = None
    assert not autotune(runs(flops=1e15), Compute()).execution.compile, "the compiler fails"
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 50.0, 49.0
    assert not autotune(runs(flops=1e15, count=400), Compute()).execution.compile, "every run traces, equal ones too"


def test_code_is_shared_by_runs_that_differ_in_seed_and_batch_size():
    first, second = runs(count=2)
    larger = second.model_copy(update={"batch_size": first.batch_size + 3})
    wider = second.model_copy(update={"model_shape": second.model_shape | {"d_model": 48}})
    result = BenchmarkResult((), first_step_s=20.0, cached_first_step_s=2.0)
    assert compile_seconds([first, second, larger], result, ExecutionPlan(DEFAULT, 2)) == (20.0 + 2 * 2.0) / 2
    assert compile_seconds([first, wider], result, ExecutionPlan(DEFAULT, 2)) == 20.0
    alone = second.model_copy(update={"batch_size": 1})
    assert compile_seconds([first, alone], result, ExecutionPlan(DEFAULT, 1)) == 40.0, "a batch of one has its own code"
    graphs = ExecutionPlan(DEFAULT.model_copy(update={"compile": "graphs"}), 2)
    assert compile_seconds([first, second, larger], result, graphs) == (2 * 20.0 + 2.0) / 2, "graphs for each size"


def test_at_most_four_probes_are_compiled(machine):
    seconds, benchmarks = machine
    seconds |= all_eager(1000.0)
    spec = runs(count=1)[0]
    many = [
        spec.model_copy(
            update={"arm": arm, "model_shape": spec.model_shape | {"d_model": width}, "non_embedding_parameters": width}
        )
        for arm in "abc"
        for width in (8 + ord(arm), 16 + ord(arm))
    ]
    assert autotune(many, Compute()).execution.compile
    assert [len(probes) for *_, probes in benchmarks] == [6, 6, 6, 4]


def test_arms_that_compute_the_same_are_benchmarked_once(machine):
    _, benchmarks = machine
    spec = runs(count=1)[0]
    autotune([spec, spec.model_copy(update={"arm": "other", "permutation": "fixed"})], Compute())
    assert {len(probes) for *_, probes in benchmarks} == {1}


def test_what_the_study_sets_is_kept(machine):
    _, benchmarks = machine
    found = autotune(runs(count=1), Compute(threads=2, workers=3))
    assert (found.execution.threads, found.workers) == (2, 3)
    assert {workers for _, workers, _ in benchmarks} == {3}


@pytest.fixture
def gpus(monkeypatch, machine):
    """Two GPUs and 16 cores."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(backends, "available_cores", lambda: 16)
    return machine


def test_gpus_get_more_workers_while_that_ends_sooner(gpus):
    seconds, benchmarks = gpus
    seconds["float32", "sdpa", 1, False, 4], seconds["float32", "sdpa", 1, False, 8] = 120.0, 400.0
    found = autotune(runs(count=64), Compute())
    assert (found.execution.device, found.execution.attention, found.workers) == ("cuda", "sdpa", 4)
    tried = [workers for candidates, workers, _ in benchmarks if not candidates[0].compile]
    assert tried == [2, 4, 8], "from one a GPU on, doubled until that ends later"


def test_gpus_use_cuda_graphs_and_flex_attention_where_that_ends_sooner(gpus):
    seconds, benchmarks = gpus
    seconds |= {("float32", "sdpa", 1, False, many): 1000.0 for many in (2, 4)}
    seconds["float32", "sdpa", 1, True], seconds["float32", "sdpa", 1, "graphs"] = 800.0, 700.0
    seconds["float32", "flex", 1, True], seconds["float32", "flex", 1, "graphs"] = 600.0, 500.0
    seconds |= {("bfloat16", form, 1, how): 2000.0 for form in ("sdpa", "flex") for how in (False, True, "graphs")}
    found = autotune(runs(flops=1e17), Compute(workers=2)).execution
    assert (found.attention, found.compile) == ("sdpa", "graphs")
    flex = [each for candidates, *_ in benchmarks for each in candidates if each.attention == "flex"]
    assert not flex, "no arm has an attention mask"
    blocks = [run.model_copy(update={"objective": "block_diffusion"}) for run in runs(flops=1e17)]
    found = autotune(blocks, Compute(workers=2)).execution
    assert (found.attention, found.compile) == ("flex", "graphs")


def test_flex_attention_is_tried_on_a_run_with_a_mask(gpus):
    seconds, benchmarks = gpus
    seconds |= all_eager(1000.0, threads=(1,), attention=("sdpa",))
    spec = runs(flops=1e17, count=1)[0]
    long = [spec.model_copy(update={"arm": f"{width}", "model_shape": {"d_model": width}}) for width in range(6)]
    short = spec.model_copy(update={"arm": "block", "objective": "block_diffusion"})
    autotune([*long, short], Compute(workers=2))
    tried = [probes for candidates, _, probes in benchmarks if any(each.attention == "flex" for each in candidates)]
    assert len(tried) == 2
    assert all("block_diffusion" in [probe.objective for probe in probes] for probes in tried)
    assert all(len(probes) == 4 for probes in tried)


def test_a_gpu_too_small_for_more_workers_keeps_those_that_fit(gpus, capsys):
    seconds, _ = gpus
    seconds["float32", "sdpa", 1, False, 4] = None
    assert autotune(runs(count=64), Compute()).workers == 2
    assert "with 4 workers: unavailable: CUDA out of memory" in " ".join(capsys.readouterr().err.split())


def test_gpus_get_no_more_workers_than_the_study_sets(gpus):
    _, benchmarks = gpus
    assert autotune(runs(count=64), Compute(workers=3)).workers == 3
    assert {workers for _, workers, _ in benchmarks} == {3}


def test_a_plan_of_seconds_is_not_benchmarked(machine):
    _, benchmarks = machine
    assert autotune(runs(flops=1e11), Compute()) == ExecutionPlan(DEFAULT, 4)
    assert not benchmarks


def test_a_real_search(monkeypatch):
    real = [run.model_copy(update={"model_shape": smallest_shape()}) for run in runs(flops=1e9)]
    monkeypatch.setattr(backends, "available_cores", lambda: 1)
    monkeypatch.setattr(search, "MIN_BENCHMARKED_FLOPS", 0.0)
    found = autotune(real, Compute())
    assert found.execution.device == DEFAULT.device
    assert (found.execution.threads, found.workers) == (1, 1)
    assert not found.execution.compile
