"""How a plan's `Execution` is carried out, the same for every arm: dtype, attention backend, compilation, chunked head.

B sequences, P positions, M supervised positions, D d_model, V ids.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytegap.models.base import Network
from bytegap.nn.attention import BACKENDS
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.nn.layers import Attention
from bytegap.objectives.base import Batch, LossSums
from bytegap.schema.plan import Execution

Body = Callable[[Tensor, Tensor, AttentionSpec], Tensor]
"""(inputs (B, P), flat positions (M,), attention) to the head's inputs (M, D)."""
GradientFn = Callable[[Batch, int], tuple[Tensor, int]]
"""(batch, tokens): fills the weights' gradients; returns the loss in nats over `tokens`, and M."""

M = TypeVar("M", bound=nn.Module)

_CACHED_LOGITS = 2**19  # 2 MiB in float32: fits a core's cache, which is several times faster (docs/log.md)
_MIN_CHUNK = 128  # smaller chunks waste the head's matmul, and the sum of its gradient
_GPU_LOGITS = 2**26
_HEAD_MULTIPLE = 16
"""bfloat16 heads take a multiple of so many positions.

A kernel is generated for each number of rows that a matmul meets, and masking draws another at each step (2 ms and
1.5 MB; docs/log.md). The logits of the padding are dropped.
"""
_TYPICAL_BATCH = 8  # sequences for which compiled code is optimized
_REASON_CHARACTERS = 200


def head_chunk_size(device: str, n_ids: int) -> int:
    """Positions whose logits are in memory at once, for a vocabulary of `n_ids`."""
    return max(_MIN_CHUNK, (_CACHED_LOGITS if device == "cpu" else _GPU_LOGITS) // n_ids)


def bind_worker_to_gpu(worker: int) -> None:
    """Bind worker i of several to GPU i mod n; no-op without GPUs."""
    if torch.cuda.is_available():
        torch.cuda.set_device(worker % torch.cuda.device_count())


def to_device(model: M, numerics: Execution) -> M:
    """The model on its device, with the planned attention backend; weights stay in float32."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.backend = BACKENDS[numerics.attention]
    return model.to(numerics.device)


def body_fn(model: Network, numerics: Execution) -> Body:
    """The model's body as a training step runs it.

    A mask is made into floats once for all layers, outside of compiled code, which would do so for each head; the flex
    kernel takes it as it is.
    """

    def eager(inputs_BP: Tensor, positions_M: Tensor | None, attention: AttentionSpec) -> Tensor:
        with _autocast(numerics):
            return model.features(inputs_BP, positions_M, attention)

    body = _compiled(eager, numerics) if numerics.compile else eager
    if numerics.attention == "flex":
        return body
    dtype: torch.dtype = getattr(torch, numerics.dtype)
    return lambda inputs_BP, positions_M, attention: body(inputs_BP, positions_M, attention.with_additive_mask(dtype))


def _compiled(eager: Callable[[Tensor, Tensor | None, AttentionSpec], Tensor], numerics: Execution) -> Body:
    """The body compiled once for one P, for any M (0 included) and any B above one; B = 1 has code of its own.

    Which batch the compiler meets first, here or in another process that shares its cache, changes nothing.
    CUDA graphs have code for each shape.
    Code compiled earlier in this process is dropped, so that a run's arithmetic does not depend on the runs before it.
    """
    torch.compiler.reset()
    if numerics.compile == "graphs":
        return _cuda_graph_replay(torch.compile(eager, mode="reduce-overhead", dynamic=False))
    compiled = torch.compile(eager)

    def run(inputs_BP: Tensor, positions_M: Tensor, attention: AttentionSpec) -> Tensor:
        B, P = inputs_BP.shape
        _mark_unbacked(positions_M, _TYPICAL_BATCH * P, "targets", 0)
        if B > 1:
            for tensor in _per_sequence(inputs_BP, attention):
                _mark_unbacked(tensor, _TYPICAL_BATCH, "sequences", 2)
        return compiled(inputs_BP, positions_M, attention)

    return run


def _per_sequence(inputs_BP: Tensor, attention: AttentionSpec) -> list[Tensor]:
    """The tensors whose first dimension is B."""
    tensors = [inputs_BP]
    by_position = (attention.position_ids, attention.query_position_ids, attention.shifted)
    tensors += [tensor for tensor in by_position if tensor is not None and tensor.ndim > 1]
    if attention.mask is not None and attention.mask.ndim > 2:
        tensors.append(attention.mask)
    return tensors


def _cuda_graph_replay(compiled: Callable[[Tensor, Tensor | None, AttentionSpec], Tensor]) -> Body:
    """A graph is recorded for one shape, and M varies: all positions are computed, then M of them selected."""

    def run(inputs_BP: Tensor, positions_M: Tensor, attention: AttentionSpec) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return compiled(inputs_BP, None, attention).index_select(0, positions_M)

    return run


def _mark_unbacked(tensor: Tensor, typical: int, name: str, minimum: int) -> None:
    """Make the compiler generate one code for every length from `minimum` on; tensors of one `name` are equally long.

    The length is unknown to the compiler ("unbacked"), so that it cannot guard on it; `typical` is a hint for speed.
    With `mark_dynamic` the hint stands for the length itself, and the compiler guards on what is true of the hint:
    4,097 positions or more where it splits a sum over the hint (docs/log.md, 2026-11-28).
    """
    from torch._dynamo.decorators import mark_unbacked  # loads a compiler

    mark_unbacked(tensor, 0, hint_override=typical, shape_id=name, min=minimum)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory does not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def reason(error: BaseException) -> str:
    """An exception in one line: its type and first line; for a compiler's wrapper, those of the error inside."""
    error = getattr(error, "inner_exception", error)
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}"[:_REASON_CHARACTERS] if first else type(error).__name__


def gradient_fn(model: Network, numerics: Execution, loss: Callable[[Tensor, Batch], LossSums]) -> GradientFn:
    """A function that fills the weights' gradients from a batch; it minimizes nats over `tokens`.

    It returns that loss, in float64 and on the device without waiting for it, and the number of supervised positions.
    Head and loss run a chunk of positions at a time: of a large vocabulary's logits only a chunk is in memory.
    """
    body = body_fn(model, numerics)
    multiple = 1 if numerics.dtype == "float32" else _HEAD_MULTIPLE
    chunk = head_chunk_size(numerics.device, model.lm_head.weight.shape[0])

    def padded(features_MD: Tensor) -> Tensor:
        return functional.pad(features_MD, (0, 0, 0, -len(features_MD) % multiple))

    def run(batch: Batch, tokens: int) -> tuple[Tensor, int]:
        if numerics.compile == "graphs":
            _preallocate_grads(model)
        features_MD = body(batch.inputs_BP, batch.positions_M, batch.attention)
        leaf_MD = features_MD.detach().requires_grad_()
        nats, supervised = torch.zeros((), dtype=torch.float64, device=leaf_MD.device), 0
        for start in range(0, max(1, len(leaf_MD)), chunk):
            part = slice(start, start + chunk)
            with _autocast(numerics):
                logits_MV = model.lm_head(padded(leaf_MD[part]))
            targets = batch.select(part)
            sums = loss(logits_MV[: len(targets.targets_M)].float(), targets)
            mean = sums.weighted_nats_B.sum() / tokens
            mean.backward()
            nats += mean.detach()
            supervised += sums.supervised
        features_MD.backward(leaf_MD.grad)
        return nats, supervised

    return run


def _preallocate_grads(model: nn.Module) -> None:
    """Give every gradient its own memory: a first gradient would be kept where the next replay of a graph writes."""
    for weight in model.parameters():
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)


@contextlib.contextmanager
def _autocast(numerics: Execution) -> Generator[None]:
    """Matmuls in the planned dtype; weights, sums of gradients and the loss stay in float32."""
    low = numerics.dtype != "float32"
    dtype: torch.dtype | None = getattr(torch, numerics.dtype) if low else None
    with torch.autocast(numerics.device, dtype, enabled=low):
        yield
