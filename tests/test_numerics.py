"""Ways to compute the same step: equal to rounding, in chunks or whole, the weights always in float32."""

import contextlib
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.fx.experimental.symbolic_shapes import guard_or_false
from torch.nn.attention import flex_attention

from bytegap import numerics
from bytegap.models import transformer
from bytegap.models._blocks import ATTENTION
from bytegap.objectives import block, mdm
from bytegap.objectives._base import Question, Vocabulary, answer
from bytegap.records import Numerics
from bytegap.sight import ALL, CAUSAL, Sight
from tests.train.test_train import begin, prepared, state  # noqa: F401 - a fixture

PLAIN = Numerics(device="cpu", dtype="float32", threads=1, attention="sdpa", compile=False)
M, D, V, ROWS = 23, 6, 11, 4


class Body(torch.nn.Module):
    """Features that are a table, and a head; how many logits it gave at once."""

    def __init__(self, answers=M):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = torch.nn.Parameter(torch.randn(answers, D, dtype=torch.float64, generator=generator))
        self.lm_head = torch.nn.Linear(D, V, bias=False, dtype=torch.float64)
        self.lm_head.register_forward_hook(lambda *given: self.sizes.append(given[2].numel()))
        self.sizes = []

    def features(self, _, positions_M, sight):
        del sight
        return self.table if positions_M is None else self.table[positions_M]


def question(answers=M):
    generator = torch.Generator().manual_seed(1)
    return Question(
        inputs_BP=torch.zeros(ROWS, 9, dtype=torch.long),
        positions_M=torch.arange(answers),
        targets_M=torch.randint(V, (answers,), generator=generator),
        weights_M=torch.rand(answers, generator=generator),
        rows_M=torch.arange(answers) * ROWS // M,
        places_M=torch.zeros(answers, dtype=torch.long),
        sight=ALL,
    )


@pytest.mark.parametrize("chunk", [2 * M, 5, 7, 1])
def test_chunks_of_logits_add_up(monkeypatch, chunk):
    monkeypatch.setattr(numerics, "answers_at_once", lambda *_: chunk)
    model = Body()
    loss, supervised = numerics.gradients(model, PLAIN, answer)(question(), 40)
    found = [weight.grad for weight in model.parameters()]
    whole = answer((model.table @ model.lm_head.weight.T).float(), question())
    mean = whole.weighted_nats_B.sum() / 40
    assert loss == pytest.approx(mean.item(), rel=1e-6)
    assert supervised == whole.supervised == M
    for ours, expected in zip(found, torch.autograd.grad(mean, list(model.parameters())), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-8)
    assert max(model.sizes) <= chunk * V


def test_bfloat16s_head_meets_few_numbers_of_rows_and_what_fills_them_up_counts_nowhere(monkeypatch):
    monkeypatch.setattr(numerics, "_arithmetic", contextlib.nullcontext)  # so that both compute alike but for that
    results = []
    for dtype in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = Body()
        loss, supervised = numerics.gradients(model, PLAIN.model_copy(update={"dtype": dtype}), answer)(question(), 40)
        results.append((loss, supervised, [weight.grad for weight in model.parameters()], model.sizes))
    (loss, supervised, gradients, sizes), (other_loss, other_supervised, others, filled) = results
    assert (sizes, filled) == ([M * V], [32 * V])
    assert (loss, supervised) == (other_loss, other_supervised)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_is_laid_on_a_device_from_pinned_memory(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor.data_ptr()) or tensor)
    asked = replace(question(), sight=Sight(causal=False, mask_PP=torch.eye(9, dtype=torch.bool)))
    tensors = [*(part for part in vars(asked).values() if isinstance(part, torch.Tensor)), asked.sight.mask_PP]
    laid = asked.to("meta")
    assert sorted(pinned) == sorted(tensor.data_ptr() for tensor in tensors)
    assert laid.inputs_BP.is_meta
    assert laid.sight.mask_PP.is_meta
    assert asked.to("cpu").inputs_BP is asked.inputs_BP


def test_a_batch_that_asks_nothing_trains_nothing():
    model = Body()
    assert numerics.gradients(model, PLAIN, answer)(question(0), 40) == (0.0, 0)
    assert not any(weight.grad.any() for weight in model.parameters())


def replayed(model):
    """In the compiler's place: what a recorded graph gives lies where its next playing writes."""
    memory = {}

    def put(name, tensor):
        memory.setdefault(name, torch.empty_like(tensor)).copy_(tensor)
        return memory[name].view_as(tensor)

    class Graph(torch.autograd.Function):
        @staticmethod
        def forward(ctx, function, given, table):
            with torch.enable_grad():
                ctx.features_MD, ctx.table = function(*given), table
            return put("features", ctx.features_MD.detach())

        @staticmethod
        def backward(ctx, gradient):
            return None, None, put("table", torch.autograd.grad(ctx.features_MD, ctx.table, gradient)[0])

    return lambda function, **_: lambda *given: Graph.apply(function, given, model.table)


def test_gradients_add_up_where_a_graph_writes_over_what_it_gave_before(monkeypatch):
    first = question()
    second = replace(first, targets_M=first.targets_M.flip(0), positions_M=first.positions_M.flip(0))
    plain, model = Body(), Body()
    model.load_state_dict(plain.state_dict())
    ask = numerics.gradients(plain, PLAIN, answer)
    monkeypatch.setattr(torch, "compile", replayed(model))
    asked = numerics.gradients(model, PLAIN.model_copy(update={"compile": "graphs"}), answer)
    for number in range(2):
        for one in (plain, model):
            one.zero_grad()
        for piece in (first, second)[number:]:
            assert asked(piece, 40) == ask(piece, 40)
        for ours, expected in zip(model.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, expected.grad)


def test_workers_take_turns_on_the_gpus(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    numerics.settle(1)
    assert not taken, "without any there is nothing to take"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for worker in range(4):
        numerics.settle(worker)
    assert taken == [0, 1, 0, 1]


BF16 = {"dtype": "bfloat16"}


def trained(prepared, arm, steps, **changes):  # noqa: F811
    training = begin(prepared, arm, steps=steps)
    changed = training.spec.numerics.model_copy(update=changes)
    training.__init__(training.spec.model_copy(update={"numerics": changed}), training.rows._rows_RS.reshape(-1))
    list(training.steps())
    return training


@pytest.mark.parametrize("positions", [9, 300])
@pytest.mark.parametrize("kind", ["causal", "all", "masked"])
def test_the_forms_of_attention_agree_forward_and_backward(positions, kind):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, positions, 8)
    given = [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(3)]
    mask_PP = torch.rand(positions, positions, generator=generator) < 0.3
    masked = Sight(causal=False, mask_PP=mask_PP | torch.eye(positions, dtype=torch.bool))
    sight = {"causal": CAUSAL, "all": ALL, "masked": masked}[kind]
    answers = {}
    for name, attend in ATTENTION.items():
        mixed = attend(*given, sight)
        answers[name] = [mixed, *torch.autograd.grad(mixed.square().sum(), given)]
    for found in answers.values():
        for ours, reference in zip(found, answers["sdpa"], strict=True):
            torch.testing.assert_close(ours, reference)


def masked_question():
    generator = torch.Generator().manual_seed(0)
    symbols_BS = torch.randint(256, (3, 64), generator=generator)
    return block.ask(symbols_BS, torch.rand(3), generator, Vocabulary(256), block.Options(size=4))


def test_the_kernel_for_masks_agrees_forward_and_backward(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(2, 3, 125, 16, generator=generator, requires_grad=True) for _ in range(3)]
    sight = masked_question().sight
    torch.compiler.reset()
    compiled = torch.compile(ATTENTION["flex"], backend="aot_eager", fullgraph=True)
    with pytest.raises(Exception, match="backward on CPU"):
        compiled(*given, sight)
    narrow = [part[..., :8].detach() for part in given]  # its kernel on a GPU has none so narrow
    assert torch.equal(compiled(*narrow, sight), ATTENTION["sdpa"](*narrow, sight))
    # The plain code that stands in for the kernel has gradients everywhere.
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    torch.compiler.reset()
    answers = [
        [mixed, *torch.autograd.grad(mixed.square().sum(), given)]
        for mixed in (compiled(*given, sight), ATTENTION["sdpa"](*given, sight))
    ]
    for ours, reference in zip(*answers, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
@pytest.mark.parametrize("changes", [{"attention": "matmul"}, BF16], ids=["matmul", "bfloat16"])
def test_a_run_computed_another_way_follows_the_same_losses(prepared, arm, changes):  # noqa: F811
    plain, other = trained(prepared, arm, 40), trained(prepared, arm, 40, **changes)
    gap = torch.tensor(plain.ledger.losses) - torch.tensor(other.ledger.losses)
    assert 0 < gap.abs().max() < (0.05 if changes is BF16 else 1e-3)
    assert gap.mean().abs() < (0.01 if changes is BF16 else 1e-4)
    assert {weight.dtype for weight in state(other).values()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
@pytest.mark.parametrize("how", [True, "graphs"])
def test_a_compiled_run_follows_the_same_losses(prepared, arm, how):  # noqa: F811
    plain, other = trained(prepared, arm, 200), trained(prepared, arm, 200, compile=how)
    gap = torch.tensor(plain.ledger.losses) - torch.tensor(other.ledger.losses)
    assert gap.abs().max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_compiled_forward_passes_over_what_a_mask_hides(monkeypatch, dtype):
    asked = masked_question()
    shape = transformer.Shape(width=32, depth=2, heads=2, hidden=64, vocabulary=259, positions=65, rotary_base=65)
    model = transformer.build(shape)
    model.initialise(0)
    calls, kernel = [], flex_attention.flex_attention
    monkeypatch.setattr(flex_attention, "flex_attention", lambda *q, **m: calls.append(1) or kernel(*q, **m))
    found = []
    for form, how in (("sdpa", False), ("flex", True)):
        way = PLAIN.model_copy(update={"dtype": dtype, "attention": form, "compile": how})
        with torch.no_grad():
            body = numerics.features(numerics.place(model, way), way)
            found.append(body(asked.inputs_BP, asked.positions_M, asked.sight))
    assert len(calls) == shape.depth
    torch.testing.assert_close(*found, rtol=0, atol=1e-4 if dtype == "float32" else 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("arm", "objective"), [("bpe-mdm", "mdm"), ("byte-ar", "anyorder")])
def test_code_is_made_once_for_batches_of_any_size_and_the_same_whichever_came_first(prepared, arm, objective):  # noqa: F811
    from torch._dynamo.utils import counters
    from torch._inductor.utils import fresh_cache

    training = begin(prepared, arm, objective)
    compiled = training.spec.numerics.model_copy(update={"compile": True})
    training.spec = training.spec.model_copy(update={"rows_per_batch": 7})
    batch, symbols = training.question(0), training.spec.row_symbols

    def gradients(rows_met):
        counters.clear()
        with fresh_cache():
            ask = numerics.gradients(training.model, compiled, training.objective.loss)
            for rows in rows_met:
                training.adam.zero_grad()
                ask(batch.rows(0, rows), rows * symbols)
        assert counters["stats"]["unique_graphs"] == 1
        return [weight.grad.clone() for weight in training.model.parameters()]

    few_first, many_first = gradients([2, 5, 3]), gradients([7, 3])
    assert all(torch.equal(one, other) for one, other in zip(few_first, many_first, strict=True))


S = 512
"""Symbols a row: 8 rows of 513 positions, which the compiler is told of, are more than the 4,096 terms from which it
splits a sum."""
SIZES = [
    (8, 1000),
    (8, 4104),
    (2, 100),
    (3, 0),
    (7, 1),
    (9, 3000),
    (1, 50),
    (64, 20_000),
    (1, 0),
    (8, 3),
    (2, 1024),
    (1, 512),
]


def small_model():
    shape = transformer.Shape(width=16, depth=1, heads=2, hidden=16, vocabulary=259, positions=S + 1, rotary_base=S)
    model = transformer.build(shape)
    model.initialise(0)
    return model


def masked_rows(rows, answers):
    """So many rows, of which so many positions in all are masked."""
    generator = torch.Generator().manual_seed(1000 * rows + answers)
    symbols_BS = torch.randint(256, (rows, S), generator=generator)
    hidden_BS = (torch.randperm(rows * S, generator=generator) < answers).view(rows, S)
    return mdm.masked(symbols_BS, hidden_BS, torch.ones(rows), Vocabulary(256))


def gradients_of(model, numerics_, sizes):
    ask, found = numerics.gradients(model, numerics_, answer), {}
    for size in sizes:
        model.zero_grad()
        ask(masked_rows(*size), size[0] * S)
        found[size] = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    return found


def test_no_choice_that_a_compiler_makes_for_the_usual_sizes_binds_a_batch_to_them(monkeypatch):
    """As Inductor does where it splits a sum: a choice by what holds of a size, and a guard that it holds."""
    programs, choices = [], [2**power for power in range(1, 20)]

    def choosing(graph, inputs):
        sizes = [each for each in inputs if isinstance(each, torch.SymInt)]
        assert len(sizes) in {1, 2}, "answers, and rows where there are several"
        programs.append([guard_or_false(size > choice) for size in sizes for choice in choices])
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=choosing))
    model = small_model()
    found = gradients_of(model, PLAIN.model_copy(update={"compile": True}), SIZES)
    assert len(programs) == 2, "one row has code of its own"
    assert not any(chosen for program in programs for chosen in program)
    for size, plain in gradients_of(model, PLAIN, SIZES).items():
        torch.testing.assert_close(found[size], plain, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_code_made_for_the_usual_sizes_takes_any(dtype):
    from torch._dynamo.utils import counters
    from torch._inductor.utils import fresh_cache

    way, model = PLAIN.model_copy(update={"dtype": dtype}), small_model()
    plain, found = gradients_of(model, way, SIZES), []
    for sizes in (SIZES, SIZES[::-1]):
        counters.clear()
        with fresh_cache():
            found.append(gradients_of(model, way.model_copy(update={"compile": True}), sizes))
        assert counters["stats"]["unique_graphs"] == 2, "one row has code of its own"
    near = 1e-4 if dtype == "float32" else 0.03
    for size in SIZES:
        for ours, other, reference in zip(found[0][size], found[1][size], plain[size], strict=True):
            assert torch.equal(ours, other), (size, "whichever batch came first")
            assert (ours - reference).norm() <= near * reference.norm(), size
