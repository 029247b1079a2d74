"""Execution of a training step: equal to rounding by every backend, dtype and compiler, in chunks or at once."""

import contextlib
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.fx.experimental.symbolic_shapes import guard_or_false
from torch.nn.attention import flex_attention

from bytegap.data.vocabulary import Vocabulary
from bytegap.lm import execution
from bytegap.models.transformer import TransformerConfig
from bytegap.nn.attention import BACKENDS
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL, AttentionSpec
from bytegap.objectives.ar import Autoregressive
from bytegap.objectives.base import Batch
from bytegap.objectives.block_diffusion import BlockDiffusion
from bytegap.objectives.mdm import mask_tokens
from bytegap.schema.plan import Execution
from tests.helpers.parts import sequences
from tests.helpers.trainers import train_to_end, weights_of

EAGER = Execution(device="cpu", dtype="float32", threads=1, attention="sdpa", compile=False)
LOSS = Autoregressive().loss
M, D, V, ROWS = 23, 6, 11, 4


class TableNetwork(torch.nn.Module):
    """A network whose features are a table; `sizes` has how many logits its head gave at once."""

    def __init__(self, positions=M):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = torch.nn.Parameter(torch.randn(positions, D, dtype=torch.float64, generator=generator))
        self.lm_head = torch.nn.Linear(D, V, bias=False, dtype=torch.float64)
        self.lm_head.register_forward_hook(lambda *call: self.sizes.append(call[2].numel()))
        self.sizes = []

    def features(self, _, positions_M, attention):
        del attention
        return self.table if positions_M is None else self.table[positions_M]


def table_batch(supervised=M):
    generator = torch.Generator().manual_seed(1)
    return Batch(
        inputs_BP=torch.zeros(ROWS, 9, dtype=torch.long),
        positions_M=torch.arange(supervised),
        targets_M=torch.randint(V, (supervised,), generator=generator),
        weights_M=torch.rand(supervised, generator=generator),
        row_M=torch.arange(supervised) * ROWS // M,
        token_index_M=torch.zeros(supervised, dtype=torch.long),
        attention=BIDIRECTIONAL,
    )


@pytest.mark.parametrize("chunk", [2 * M, 5, 7, 1])
def test_gradients_of_chunks_add_up(monkeypatch, chunk):
    monkeypatch.setattr(execution, "head_chunk_size", lambda *_: chunk)
    network = TableNetwork()
    loss, supervised = execution.gradient_fn(network, EAGER, LOSS)(table_batch(), 40)
    found = [weight.grad for weight in network.parameters()]
    at_once = LOSS((network.table @ network.lm_head.weight.T).float(), table_batch())
    mean = at_once.weighted_nats_B.sum() / 40
    assert loss == pytest.approx(mean.item(), rel=1e-6)
    assert supervised == at_once.supervised == M
    for ours, expected in zip(found, torch.autograd.grad(mean, list(network.parameters())), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-8)
    assert max(network.sizes) <= chunk * V


def test_the_padding_of_a_bfloat16_head_changes_nothing(monkeypatch):
    monkeypatch.setattr(execution, "_autocast", contextlib.nullcontext)  # so that only the padding differs
    results = []
    for dtype in ("float32", "bfloat16"):
        torch.manual_seed(0)
        network = TableNetwork()
        fill_gradients = execution.gradient_fn(network, EAGER.model_copy(update={"dtype": dtype}), LOSS)
        loss, supervised = fill_gradients(table_batch(), 40)
        results.append((loss, supervised, [weight.grad for weight in network.parameters()], network.sizes))
    (loss, supervised, gradients, sizes), (other_loss, other_supervised, others, padded_sizes) = results
    assert (sizes, padded_sizes) == ([M * V], [32 * V])
    assert (loss, supervised) == (other_loss, other_supervised)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_goes_to_a_device_through_pinned_memory(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor.data_ptr()) or tensor)
    batch = replace(table_batch(), attention=AttentionSpec(causal=False, mask=torch.eye(9, dtype=torch.bool)))
    tensors = [*(part for part in vars(batch).values() if isinstance(part, torch.Tensor)), batch.attention.mask]
    moved = batch.to("meta")
    assert sorted(pinned) == sorted(tensor.data_ptr() for tensor in tensors)
    assert moved.inputs_BP.is_meta
    assert moved.attention.mask.is_meta
    assert batch.to("cpu").inputs_BP is batch.inputs_BP


def test_a_batch_without_targets_has_zero_gradients():
    network = TableNetwork()
    assert execution.gradient_fn(network, EAGER, LOSS)(table_batch(0), 40) == (0.0, 0)
    assert not any(weight.grad.any() for weight in network.parameters())


def graph_replay(network):
    """A compiler whose code, like a recorded CUDA graph, writes its results to the same memory each time."""
    memory = {}

    def put(name, tensor):
        memory.setdefault(name, torch.empty_like(tensor)).copy_(tensor)
        return memory[name].view_as(tensor)

    class Graph(torch.autograd.Function):
        @staticmethod
        def forward(ctx, function, arguments, table):
            with torch.enable_grad():
                ctx.features_MD, ctx.table = function(*arguments), table
            return put("features", ctx.features_MD.detach())

        @staticmethod
        def backward(ctx, gradient):
            return None, None, put("table", torch.autograd.grad(ctx.features_MD, ctx.table, gradient)[0])

    return lambda function, **_: lambda *arguments: Graph.apply(function, arguments, network.table)


def test_gradients_add_up_where_a_graph_overwrites_its_last_results(monkeypatch):
    first = table_batch()
    second = replace(first, targets_M=first.targets_M.flip(0), positions_M=first.positions_M.flip(0))
    plain, network = TableNetwork(), TableNetwork()
    network.load_state_dict(plain.state_dict())
    fill_plain = execution.gradient_fn(plain, EAGER, LOSS)
    monkeypatch.setattr(torch, "compile", graph_replay(network))
    fill_graphs = execution.gradient_fn(network, EAGER.model_copy(update={"compile": "graphs"}), LOSS)
    for number in range(2):
        for one in (plain, network):
            one.zero_grad()
        for batch in (first, second)[number:]:
            assert fill_graphs(batch, 40) == fill_plain(batch, 40)
        for ours, expected in zip(network.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, expected.grad)


def test_workers_are_bound_to_gpus_in_turn(monkeypatch):
    bound = []
    monkeypatch.setattr(torch.cuda, "set_device", bound.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    execution.bind_worker_to_gpu(1)
    assert not bound, "there is none"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for worker in range(4):
        execution.bind_worker_to_gpu(worker)
    assert bound == [0, 1, 0, 1]


BF16 = {"dtype": "bfloat16"}


def trained(tiny, arm, steps, **changes):
    spec = tiny.spec(arm, steps=steps)
    return train_to_end(tiny.start(spec.model_copy(update={"execution": spec.execution.model_copy(update=changes)})))


@pytest.mark.parametrize("positions", [9, 300])
@pytest.mark.parametrize("kind", ["causal", "bidirectional", "masked"])
def test_attention_backends_agree_forward_and_backward(positions, kind):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, positions, 8)
    inputs = [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(3)]
    mask = torch.rand(positions, positions, generator=generator) < 0.3
    masked = AttentionSpec(causal=False, mask=mask | torch.eye(positions, dtype=torch.bool))
    attention = {"causal": CAUSAL, "bidirectional": BIDIRECTIONAL, "masked": masked}[kind]
    results = {}
    for name, attend in BACKENDS.items():
        mixed = attend(*inputs, attention)
        results[name] = [mixed, *torch.autograd.grad(mixed.square().sum(), inputs)]
    for found in results.values():
        for ours, reference in zip(found, results["sdpa"], strict=True):
            torch.testing.assert_close(ours, reference)


def block_batch():
    """A batch whose attention has a mask."""
    generator = torch.Generator().manual_seed(0)
    tokens_BS = torch.randint(256, (3, 64), generator=generator)
    return BlockDiffusion(size=4).training_batch(sequences(tokens_BS, torch.rand(3), generator, Vocabulary(256)))


def test_the_flex_kernel_agrees_forward_and_backward(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(2, 3, 125, 16, generator=generator, requires_grad=True) for _ in range(3)]
    attention = block_batch().attention
    torch.compiler.reset()
    compiled = torch.compile(BACKENDS["flex"], backend="aot_eager", fullgraph=True)
    with pytest.raises(Exception, match="backward on CPU"):
        compiled(*inputs, attention)
    narrow = [part[..., :8].detach() for part in inputs]  # narrower than its GPU kernel takes
    assert torch.equal(compiled(*narrow, attention), BACKENDS["sdpa"](*narrow, attention))
    # The eager code that replaces the kernel here has gradients on every device.
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    torch.compiler.reset()
    results = [
        [mixed, *torch.autograd.grad(mixed.square().sum(), inputs)]
        for mixed in (compiled(*inputs, attention), BACKENDS["sdpa"](*inputs, attention))
    ]
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
@pytest.mark.parametrize("changes", [{"attention": "matmul"}, BF16], ids=["matmul", "bfloat16"])
def test_losses_of_a_run_hardly_depend_on_its_execution(tiny, arm, changes):
    plain, other = trained(tiny, arm, 40), trained(tiny, arm, 40, **changes)
    gap = torch.tensor(plain.metrics.losses) - torch.tensor(other.metrics.losses)
    assert 0 < gap.abs().max() < (0.05 if changes is BF16 else 1e-3)
    assert gap.mean().abs() < (0.01 if changes is BF16 else 1e-4)
    assert {weight.dtype for weight in weights_of(other).values()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
@pytest.mark.parametrize("compile_", [True, "graphs"])
def test_losses_of_a_compiled_run_are_those_of_an_eager_one(tiny, arm, compile_):
    plain, other = trained(tiny, arm, 200), trained(tiny, arm, 200, compile=compile_)
    assert not other.metrics.compile_error
    gap = torch.tensor(plain.metrics.losses) - torch.tensor(other.metrics.losses)
    assert gap.abs().max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_compiled_forward_uses_the_flex_kernel_for_masks(monkeypatch, dtype):
    batch = block_batch()
    config = TransformerConfig(d_model=32, n_layers=2, n_heads=2, d_ff=64, n_ids=259, max_positions=65, rope_base=65)
    network = config.build()
    network.initialize(0)
    calls, kernel = [], flex_attention.flex_attention
    monkeypatch.setattr(flex_attention, "flex_attention", lambda *q, **m: calls.append(1) or kernel(*q, **m))
    found = []
    for backend, compile_ in (("sdpa", False), ("flex", True)):
        chosen = EAGER.model_copy(update={"dtype": dtype, "attention": backend, "compile": compile_})
        with torch.no_grad():
            body = execution.body_fn(execution.to_device(network, chosen), chosen)
            found.append(body(batch.inputs_BP, batch.positions_M, batch.attention))
    assert len(calls) == config.n_layers
    torch.testing.assert_close(*found, rtol=0, atol=1e-4 if dtype == "float32" else 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("arm", "objective"), [("bpe-mdm", "mdm"), ("byte-ar", "any_order")])
def test_code_is_compiled_once_for_all_batch_sizes_and_does_not_depend_on_the_first(tiny, arm, objective):
    from torch._dynamo.utils import counters
    from torch._inductor.utils import fresh_cache

    trainer = tiny.start(tiny.spec(arm, objective, steps=12, batch_size=7))
    compiled = trainer.spec.execution.model_copy(update={"compile": True})
    batch, tokens = trainer.batch(0), trainer.spec.seq_len

    def gradients(batch_sizes):
        counters.clear()
        with fresh_cache():
            fill_gradients = execution.gradient_fn(trainer.network, compiled, trainer.objective.loss)
            for rows in batch_sizes:
                trainer.adam.zero_grad()
                fill_gradients(batch.rows(0, rows), rows * tokens)
        assert counters["stats"]["unique_graphs"] == 1
        return [weight.grad.clone() for weight in trainer.network.parameters()]

    few_first, many_first = gradients([2, 5, 3]), gradients([7, 3])
    assert all(torch.equal(one, other) for one, other in zip(few_first, many_first, strict=True))


S = 512
"""Tokens of a sequence: 8 rows of 513 positions, which the compiler gets as a hint, are more than the 4,096 terms from
which it splits a sum."""
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
"""(rows, supervised positions)."""


def small_network():
    network = TransformerConfig(
        d_model=16, n_layers=1, n_heads=2, d_ff=16, n_ids=259, max_positions=S + 1, rope_base=S
    ).build()
    network.initialize(0)
    return network


def masked_batch(rows, supervised):
    """So many rows, with so many masked positions in all."""
    generator = torch.Generator().manual_seed(1000 * rows + supervised)
    tokens_BS = torch.randint(256, (rows, S), generator=generator)
    masked_BS = (torch.randperm(rows * S, generator=generator) < supervised).view(rows, S)
    return mask_tokens(tokens_BS, masked_BS, torch.ones(rows), Vocabulary(256))


def gradients_of(network, chosen, sizes):
    fill_gradients, found = execution.gradient_fn(network, chosen, LOSS), {}
    for size in sizes:
        network.zero_grad()
        fill_gradients(masked_batch(*size), size[0] * S)
        found[size] = [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
    return found


def test_choices_that_a_compiler_makes_for_typical_sizes_do_not_restrict_batches(monkeypatch):
    """As Inductor does where it splits a sum: a choice by what is true of a size, and a guard that it stays true."""
    programs, choices = [], [2**power for power in range(1, 20)]

    def choosing(graph, inputs):
        sizes = [each for each in inputs if isinstance(each, torch.SymInt)]
        assert len(sizes) in {1, 2}, "supervised positions, and rows where there are several"
        programs.append([guard_or_false(size > choice) for size in sizes for choice in choices])
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=choosing))
    network = small_network()
    found = gradients_of(network, EAGER.model_copy(update={"compile": True}), SIZES)
    assert len(programs) == 2, "one row has code of its own"
    assert not any(chosen for program in programs for chosen in program)
    for size, plain in gradients_of(network, EAGER, SIZES).items():
        torch.testing.assert_close(found[size], plain, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiled_code_takes_any_batch_size_and_number_of_supervised_positions(dtype):
    from torch._dynamo.utils import counters
    from torch._inductor.utils import fresh_cache

    chosen, network = EAGER.model_copy(update={"dtype": dtype}), small_network()
    plain, found = gradients_of(network, chosen, SIZES), []
    for sizes in (SIZES, SIZES[::-1]):
        counters.clear()
        with fresh_cache():
            found.append(gradients_of(network, chosen.model_copy(update={"compile": True}), sizes))
        assert counters["stats"]["unique_graphs"] == 2, "one row has code of its own"
    tolerance = 1e-4 if dtype == "float32" else 0.03
    for size in SIZES:
        for ours, other, reference in zip(found[0][size], found[1][size], plain[size], strict=True):
            assert torch.equal(ours, other), (size, "whichever batch came first")
            assert (ours - reference).norm() <= tolerance * reference.norm(), size
