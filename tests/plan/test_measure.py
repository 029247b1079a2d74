"""What is chosen is what ends soonest, for all runs alike; what the study fixes is not touched."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from bytegap.models import transformer
from bytegap.models._blocks import ATTENTION
from bytegap.plan import measure
from bytegap.plan.estimate import is_masked, stepper
from bytegap.study import Compute
from tests.runs.test_audit import run as a_run


def runs(flops=1e12, count=4):
    spec = a_run("byte-ar")[0]
    return [spec.model_copy(update={"flops": flops / count, "seed": seed}) for seed in range(count)]


@pytest.fixture
def machine(monkeypatch):
    """Four cores; seconds by (dtype, attention, threads, compile), or those and how many at once; "norm" and those."""
    seconds = {}
    asked = []

    def costs(probes, candidates, beside):
        asked.append((candidates, beside, probes))
        keys = [(each.dtype, each.attention, each.threads, each.compile) for each in candidates]
        found = [seconds.get((*key, beside), seconds.get(key, 100.0)) for key in keys]
        if None in found:
            message = "CUDA out of memory"
            raise RuntimeError(message)
        each_s = [(s / len(probes),) * len(probes) for s in found]
        norms = [{measure.alike(probe): (2.0, seconds.get(("norm", *key), 1.0)) for probe in probes} for key in keys]
        return {each: measure.Cost(s, 3.0, 1.0, n) for each, s, n in zip(candidates, each_s, norms, strict=True)}

    monkeypatch.setattr(measure, "cores", lambda: 4)
    monkeypatch.setattr(measure, "_dtypes", lambda _: ["float32", "bfloat16"])
    monkeypatch.setattr(measure, "_costs", costs)
    monkeypatch.setattr(measure, "is_masked", lambda run: run.objective == "block")
    return seconds, asked


def test_the_fastest_form_is_chosen(machine):
    seconds, _ = machine
    seconds["bfloat16", "matmul", 1, False] = 50.0
    found, beside = measure.choose(runs(), Compute())
    assert (found.dtype, found.attention, found.threads, found.compile) == ("bfloat16", "matmul", 1, False)
    assert beside == 4


@pytest.mark.parametrize("norm", [1.06, float("nan"), float("inf")])
def test_what_has_other_gradients_is_not_chosen_however_fast(machine, capsys, norm):
    seconds, _ = machine
    seconds["bfloat16", "matmul", 1, False], seconds["norm", "bfloat16", "matmul", 1, False] = 50.0, norm
    seconds["float32", "sdpa", 1, True], seconds["norm", "float32", "sdpa", 1, True] = 1.0, norm
    found, _ = measure.choose(runs(flops=1e15, count=1), Compute(threads=1))
    assert found == measure.plain(Compute())
    said = " ".join(capsys.readouterr().err.split())
    assert "bfloat16, attention as matmul, 1 threads a run: left out, a gradient's norm is" in said
    assert "compiled, float32, attention as sdpa, 1 threads a run: left out, a gradient's norm is" in said


def attending(change):
    return lambda q, k, v, sight: ATTENTION["sdpa"](*change(q, k, v), sight)


WRONG = {
    "queries get no gradient": attending(lambda q, k, v: (q.detach(), k, v)),
    "keys get no gradient": attending(lambda q, k, v: (q, k.detach(), v)),
    "scale": attending(lambda q, k, v: (2 * q, k, v)),
    "mask": lambda q, k, v, sight: ATTENTION["sdpa"](q, k, v, replace(sight, mask_PP=None)),
}


@pytest.mark.parametrize("width", [16, 64])
def test_whatever_is_wrong_in_attention_shows_in_the_norms_and_bfloat16_does_not(monkeypatch, width):
    for name, attend in WRONG.items():
        monkeypatch.setitem(ATTENTION, name, attend)
    ladder = transformer.ladder(vocabulary=259, positions=65)
    shape = next(shape for shape in ladder if shape.width == width).model_dump()
    update = {"objective": "block", "shape": shape, "row_symbols": 64, "rows_per_batch": 8}
    spec = runs()[0].model_copy(update=update)

    def cost(**way):
        numerics = measure.plain(Compute()).model_copy(update=way)
        step, norms = stepper(spec.model_copy(update={"numerics": numerics}))
        found = [norm for _ in range(2) if step() for norm in norms()]
        return numerics, measure.Cost((), norms={"probe": tuple(found)})

    right = cost()[1].norms
    assert measure._is_sound(*cost(dtype="bfloat16", attention="matmul"), right)
    for name in WRONG:
        assert not measure._is_sound(*cost(attention=name), right), name


def test_rounding_is_no_other_gradient(machine):
    numerics, right = measure.plain(Compute()), {"probe": (1.0, 1e-5)}
    assert measure._is_sound(numerics, measure.Cost((), norms={"probe": (1.0, 0.0)}), right)
    assert not measure._is_sound(numerics, measure.Cost((), norms={"probe": (1.0, 1e-2)}), right)
    seconds, _ = machine
    seconds["bfloat16", "matmul", 1, False], seconds["norm", "bfloat16", "matmul", 1, False] = 50.0, 1.002
    assert measure.choose(runs(), Compute())[0].dtype == "bfloat16"


def test_one_long_run_takes_all_cores(machine):
    seconds, _ = machine
    seconds["float32", "sdpa", 2, False], seconds["float32", "sdpa", 4, False] = 60.0, 40.0
    found, beside = measure.choose(runs(count=1), Compute())
    assert (found.threads, beside) == (4, 1)
    found, beside = measure.choose(runs(count=16), Compute())
    assert (found.threads, beside) == (1, 4), "four at a time end sooner than each at 2.5 times"


def test_code_is_compiled_where_that_is_won_back(machine):
    seconds, asked = machine
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 5.0, 3.0
    assert not measure.choose(runs(), Compute())[0].compile
    assert not any(each.compile for candidates, *_ in asked for each in candidates), "not tried where it cannot pay"
    seconds |= dict.fromkeys(product(("float32", "bfloat16"), ATTENTION, (1, 2, 4), (False,)), 1000.0)
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 500.0, 300.0
    assert measure.choose(runs(flops=1e15), Compute())[0].compile
    seconds["float32", "sdpa", 1, True] = None
    assert not measure.choose(runs(flops=1e15), Compute())[0].compile, "a compiler that fails is done without"
    seconds["float32", "sdpa", 1, False], seconds["float32", "sdpa", 1, True] = 50.0, 49.0
    assert not measure.choose(runs(flops=1e15, count=400), Compute())[0].compile, "each run traces anew, equal ones too"


def test_code_is_made_once_for_runs_that_differ_in_seed_and_rows():
    first, second = runs(count=2)
    rows = second.model_copy(update={"rows_per_batch": first.rows_per_batch + 3})
    wider = second.model_copy(update={"shape": second.shape | {"width": 48}})
    cost = measure.Cost((), first_s=20.0, again_s=2.0)
    plain = measure.plain(Compute())
    assert measure._compiling([first, second, rows], cost, plain, 2) == (20.0 + 2 * 2.0) / 2
    assert measure._compiling([first, wider], cost, plain, 2) == 20.0
    alone = second.model_copy(update={"rows_per_batch": 1})
    assert measure._compiling([first, alone], cost, plain, 1) == 40.0, "code for one row is its own"
    graphs = plain.model_copy(update={"compile": "graphs"})
    assert measure._compiling([first, second, rows], cost, graphs, 2) == (2 * 20.0 + 2.0) / 2, "and graphs for any"


def test_of_many_models_few_are_compiled_to_know_what_it_saves(machine):
    seconds, asked = machine
    seconds |= dict.fromkeys(product(("float32", "bfloat16"), ATTENTION, (1, 2, 4), (False,)), 1000.0)
    spec = runs(count=1)[0]
    many = [
        spec.model_copy(update={"arm": arm, "shape": spec.shape | {"width": width}, "non_embedding_parameters": width})
        for arm in "abc"
        for width in (8 + ord(arm), 16 + ord(arm))
    ]
    assert measure.choose(many, Compute())[0].compile
    assert [len(probes) for *_, probes in asked] == [6, 6, 6, 4]


def test_what_several_arms_compute_alike_is_measured_once(machine):
    _, asked = machine
    spec = runs(count=1)[0]
    measure.choose([spec, spec.model_copy(update={"arm": "other", "order": "fixed"})], Compute())
    assert {len(probes) for *_, probes in asked} == {1}


def test_what_the_study_fixes_stays(machine):
    _, asked = machine
    found, beside = measure.choose(runs(count=1), Compute(threads=2, workers=3))
    assert (found.threads, beside) == (2, 3)
    assert {beside for _, beside, _ in asked} == {3}


@pytest.fixture
def gpus(monkeypatch, machine):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(measure, "cores", lambda: 16)
    return machine


def test_gpus_share_the_runs_and_take_more_of_them_while_that_ends_sooner(gpus):
    seconds, asked = gpus
    seconds["float32", "sdpa", 1, False, 4], seconds["float32", "sdpa", 1, False, 8] = 120.0, 400.0
    found, beside = measure.choose(runs(count=64), Compute())
    assert (found.device, found.attention, beside) == ("cuda", "sdpa", 4)
    tried = [many for candidates, many, _ in asked if not candidates[0].compile]
    assert tried == [2, 4, 8], "from one a GPU on, until one more doubling is in vain"


def test_a_gpu_plays_recorded_launches_and_passes_over_masks_where_that_is_sooner(gpus):
    seconds, asked = gpus
    seconds |= {("float32", "sdpa", 1, False, many): 1000.0 for many in (2, 4)}
    seconds["float32", "sdpa", 1, True], seconds["float32", "sdpa", 1, "graphs"] = 800.0, 700.0
    seconds["float32", "flex", 1, True], seconds["float32", "flex", 1, "graphs"] = 600.0, 500.0
    seconds |= {("bfloat16", form, 1, how): 2000.0 for form in ("sdpa", "flex") for how in (False, True, "graphs")}
    found, _ = measure.choose(runs(flops=1e17), Compute(workers=2))
    assert (found.attention, found.compile) == ("sdpa", "graphs")
    assert not any(each.attention == "flex" for candidates, *_ in asked for each in candidates), "no arm has a mask"
    blocks = [run.model_copy(update={"objective": "block"}) for run in runs(flops=1e17)]
    found, _ = measure.choose(blocks, Compute(workers=2))
    assert (found.attention, found.compile) == ("flex", "graphs")


def test_a_kernel_for_masks_is_tried_on_a_mask(gpus):
    seconds, asked = gpus
    seconds |= dict.fromkeys(product(("float32", "bfloat16"), ["sdpa"], [1], [False]), 1000.0)
    spec = runs(flops=1e17, count=1)[0]
    long = [spec.model_copy(update={"arm": f"{width}", "shape": {"width": width}}) for width in range(6)]
    short = spec.model_copy(update={"arm": "block", "objective": "block"})
    measure.choose([*long, short], Compute(workers=2))
    tried = [probes for candidates, _, probes in asked if any(each.attention == "flex" for each in candidates)]
    assert len(tried) == 2
    assert all("block" in [probe.objective for probe in probes] for probes in tried)
    assert all(len(probes) == 4 for probes in tried)


def test_a_gpu_too_small_for_more_runs_keeps_those_that_it_has(gpus, capsys):
    seconds, _ = gpus
    seconds["float32", "sdpa", 1, False, 4] = None
    assert measure.choose(runs(count=64), Compute())[1] == 2
    assert "4 at once: cannot be had here: RuntimeError: CUDA out of memory" in " ".join(
        capsys.readouterr().err.split()
    )


def test_workers_that_a_study_asks_for_are_not_more_on_a_gpu(gpus):
    _, asked = gpus
    assert measure.choose(runs(count=64), Compute(workers=3))[1] == 3
    assert {beside for _, beside, _ in asked} == {3}


def test_a_plan_of_seconds_is_not_measured(machine):
    _, asked = machine
    assert measure.choose(runs(flops=1e11), Compute()) == (measure.plain(Compute()), 4)
    assert not asked


def test_a_mask_is_known_of_the_objective():
    shape = next(transformer.ladder(vocabulary=259, positions=97)).model_dump()
    spec = runs()[0].model_copy(update={"shape": shape})
    masked = {name: is_masked(spec.model_copy(update={"objective": name})) for name in ("ar", "mdm", "block")}
    assert masked == {"ar": False, "mdm": False, "block": True}


def test_a_real_measurement(monkeypatch):
    shape = next(transformer.ladder(vocabulary=259, positions=97)).model_dump()
    real = [run.model_copy(update={"shape": shape}) for run in runs(flops=1e9)]
    monkeypatch.setattr(measure, "cores", lambda: 1)
    monkeypatch.setattr(measure, "_WORTH_MEASURING_FLOPS", 0.0)
    found, beside = measure.choose(real, Compute())
    assert found.device == measure.plain(Compute()).device
    assert (found.threads, beside) == (1, 1)
    assert not found.compile
