"""How a plan's `Numerics` are carried out: the same for every arm, objective and model.

B rows, P positions, M supervised positions, D width, V ids.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor, nn

from bytegap.models._blocks import ATTENTION, Attention
from bytegap.records import Numerics

CHUNK_LOGITS = 2**24
"""Logits in memory at once: 64 MiB in float32, and about three times that with their gradient and softmax."""

Features = Callable[[Tensor, Tensor], Tensor]


def place(model: nn.Module, numerics: Numerics) -> nn.Module:
    """The model on its device, its attention in the planned form; weights stay in float32."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.attend = ATTENTION[numerics.attention]
    return model.to(numerics.device)


def features(model: Any, numerics: Numerics) -> Features:
    """Inputs (B, P) and flat positions (M,) to what the head reads, (M, D), as a training step takes them.

    Compiled code is made for one B and P, and for any M, which masking draws anew at each step. What was compiled
    before in this process is dropped, lest a run's arithmetic depend on the runs that went before it.
    """

    def eager(inputs_BP: Tensor, positions_M: Tensor) -> Tensor:
        with _arithmetic(numerics):
            return model.features(inputs_BP, positions_M)

    if not numerics.compile:
        return eager
    from torch._dynamo import mark_dynamic  # loads a compiler

    torch.compiler.reset()
    compiled = torch.compile(eager)

    def run(inputs_BP: Tensor, positions_M: Tensor) -> Tensor:
        mark_dynamic(positions_M, 0)
        return compiled(inputs_BP, positions_M)

    return run


def head(model: Any, numerics: Numerics) -> Callable[[Tensor], Tensor]:
    """What the head reads, (M, D), to logits (M, V) in float32."""

    def run(features_MD: Tensor) -> Tensor:
        with _arithmetic(numerics):
            logits_MV = model.lm_head(features_MD)
        return logits_MV.float()

    return run


@contextlib.contextmanager
def _arithmetic(numerics: Numerics) -> Generator[None]:
    """Matmuls in the planned type; weights, gradients' sums and the loss keep float32."""
    low = numerics.dtype != "float32"
    with torch.autocast(numerics.device, getattr(torch, numerics.dtype) if low else None, enabled=low):
        yield
