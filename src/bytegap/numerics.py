"""How a plan's `Numerics` are carried out: the same for every arm, objective and model.

B rows, P positions, M supervised positions, D width, V ids.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytegap.models._blocks import ATTENTION, Attention
from bytegap.objectives._base import Answer, Question
from bytegap.records import Numerics
from bytegap.sight import Sight

Features = Callable[[Tensor, Tensor, Sight], Tensor]

_CACHED_LOGITS = 2**19  # 2 MiB in float32: what a core's cache holds; several times faster than memory (docs/log.md)
_LEAST_ANSWERS = 128  # fewer waste the head's matmul, and its gradient's sum
_GPU_LOGITS = 2**26
_ALIKE = 16
"""Answers of which bfloat16's head takes a multiple: a kernel is generated for each number of rows that a matmul meets,
and masking draws another at each step (2 ms and 1.5 MB; docs/log.md). The logits of what fills them up are dropped."""
_USUAL_ROWS = 8  # for which the compiler makes its code fast
_REASON_CHARACTERS = 200


def answers_at_once(device: str, ids: int) -> int:
    """Positions whose logits are in memory at once, of a vocabulary of so many ids."""
    return max(_LEAST_ANSWERS, (_CACHED_LOGITS if device == "cpu" else _GPU_LOGITS) // ids)


def settle(worker: int) -> None:
    """Have this process, one of several workers, use the GPU whose turn it is; without any, nothing."""
    if torch.cuda.is_available():
        torch.cuda.set_device(worker % torch.cuda.device_count())


def place(model: nn.Module, numerics: Numerics) -> nn.Module:
    """The model on its device, its attention in the planned form; weights stay in float32."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.attend = ATTENTION[numerics.attention]
    return model.to(numerics.device)


def features(model: Any, numerics: Numerics) -> Features:
    """Inputs (B, P), flat positions (M,) and their sight to what the head reads, (M, D), as a training step takes them.

    Compiled code is made for one P, and for any M (0 too) and any B above one; one row has code of its own. Which batch
    met the compiler first, here or in another process that shares its cache, changes nothing in it; graphs have code
    for each shape. What was compiled before in this process is dropped, lest a run's arithmetic depend on the runs that
    went before it.
    """

    def eager(inputs_BP: Tensor, positions_M: Tensor | None, sight: Sight) -> Tensor:
        with _arithmetic(numerics):
            return model.features(inputs_BP, positions_M, sight)

    if not numerics.compile:
        return eager
    torch.compiler.reset()
    if numerics.compile == "graphs":
        return _played(torch.compile(eager, mode="reduce-overhead", dynamic=False))
    compiled = torch.compile(eager)

    def run(inputs_BP: Tensor, positions_M: Tensor, sight: Sight) -> Tensor:
        B, P = inputs_BP.shape
        _of_any_length(positions_M, _USUAL_ROWS * P, "answers", 0)
        if B > 1:
            for tensor in (inputs_BP, sight.places_P, sight.aims_BP):
                if tensor is not None and tensor.ndim > 1:
                    _of_any_length(tensor, _USUAL_ROWS, "rows", 2)
        return compiled(inputs_BP, positions_M, sight)

    return run


def _played(compiled: Callable[[Tensor, Tensor | None, Sight], Tensor]) -> Features:
    """A graph is recorded for one shape, and how many positions are asked for varies: all of them, then those."""

    def run(inputs_BP: Tensor, positions_M: Tensor, sight: Sight) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return compiled(inputs_BP, None, sight).index_select(0, positions_M)

    return run


def _of_any_length(tensor: Tensor, usual: int, name: str, least: int) -> None:
    """Have the compiler make one code for every length from the least on; tensors of one name are equally long.

    The length is unknown to the compiler ("unbacked"), so that it cannot guard on it. The usual length is only a hint
    for speed. With `mark_dynamic` the hint stands for the length itself, and the compiler guards on what holds of the
    hint: 4,097 answers or more where a sum over the hint is split (docs/log.md, 2026-11-28).
    """
    from torch._dynamo.decorators import mark_unbacked  # loads a compiler

    mark_unbacked(tensor, 0, hint_override=usual, shape_id=name, min=least)


def is_out_of_memory(error: Exception) -> bool:
    """Whether it says that memory does not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def reason(error: BaseException) -> str:
    """What went wrong, in one line: the error's type and first line; of a compiler's wrapping, the error within."""
    error = getattr(error, "inner_exception", error)
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}"[:_REASON_CHARACTERS] if first else type(error).__name__


def gradients(
    model: Any, numerics: Numerics, loss: Callable[[Tensor, Question], Answer]
) -> Callable[[Question, int], tuple[Tensor, int]]:
    """A function that fills the weights' gradients from a question; nats over so many symbols are what it minimises.

    It returns that loss, in float64 and on the device, which is not waited for, and the positions supervised. Head and
    loss go a chunk of answers at a time: of a large vocabulary's logits no more than a chunk is in memory.
    """
    body = features(model, numerics)
    alike = 1 if numerics.dtype == "float32" else _ALIKE
    chunk = answers_at_once(numerics.device, model.lm_head.weight.shape[0])

    def filled(rows_MD: Tensor) -> Tensor:
        return functional.pad(rows_MD, (0, 0, 0, -len(rows_MD) % alike))

    def run(question: Question, symbols: int) -> tuple[Tensor, int]:
        if numerics.compile == "graphs":
            _own_sums(model)
        features_MD = body(question.inputs_BP, question.positions_M, question.sight)
        leaf_MD = features_MD.detach().requires_grad_()
        nats, supervised = torch.zeros((), dtype=torch.float64, device=leaf_MD.device), 0
        for start in range(0, max(1, len(leaf_MD)), chunk):
            part = slice(start, start + chunk)
            with _arithmetic(numerics):
                logits_MV = model.lm_head(filled(leaf_MD[part]))
            asked = question.part(part)
            answer = loss(logits_MV[: len(asked.targets_M)].float(), asked)
            mean = answer.weighted_nats_B.sum() / symbols
            mean.backward()
            nats += mean.detach()
            supervised += answer.supervised
        features_MD.backward(leaf_MD.grad)
        return nats, supervised

    return run


def _own_sums(model: nn.Module) -> None:
    """Memory for the gradients' sums: a first gradient would be kept where a graph's next playing writes over it."""
    for weight in model.parameters():
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)


@contextlib.contextmanager
def _arithmetic(numerics: Numerics) -> Generator[None]:
    """Matmuls in the planned type; weights, gradients' sums and the loss keep float32."""
    low = numerics.dtype != "float32"
    with torch.autocast(numerics.device, getattr(torch, numerics.dtype) if low else None, enabled=low):
        yield
