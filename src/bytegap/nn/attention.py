"""Backends of attention: softmax(q k' / sqrt K) v by three routes that agree to rounding.

B sequences, H heads, P positions, Q queries of a chunk, K width of a head.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import flex_attention

from bytegap.nn.attention_spec import AttentionSpec, additive

Backend = Callable[[Tensor, Tensor, Tensor, AttentionSpec], Tensor]
"""(queries, keys, values, spec) to outputs, each (B, H, P, K)."""

_MIN_FLEX_HEAD_WIDTH = 16  # required by its GPU kernel
_MAX_CHUNK = 128  # queries; shorter chunks waste fewer products on masked keys and cost more calls


def _per_head(mask: Tensor) -> Tensor:
    """A mask that broadcasts over heads."""
    return mask[:, None] if mask.ndim == 3 else mask


def sdpa(q_BHPK: Tensor, k_BHPK: Tensor, v_BHPK: Tensor, attention: AttentionSpec) -> Tensor:
    """Attention by the library's fused kernel."""
    mask = None if attention.mask is None else _per_head(attention.mask)
    return functional.scaled_dot_product_attention(
        q_BHPK, k_BHPK, v_BHPK, attn_mask=mask, is_causal=attention.causal and mask is None
    )


class _ChunkedAttention(torch.autograd.Function):
    """Attention as matmuls over chunks of queries; a causal chunk reads no keys beyond its own end.

    Autograd would keep scores, masks and maps, all of them in float32 under autocast.
    This keeps the maps only, in the type of the values, and its scores are never wider than that.
    """

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - autograd functions take no keywords
        ctx: Any,  # torch's autograd context, which has no public type
        q_BHPK: Tensor,
        k_BHPK: Tensor,
        v_BHPK: Tensor,
        causal: bool,  # noqa: FBT001
        mask: Tensor | None,
    ) -> Tensor:
        dtype, P = v_BHPK.dtype, v_BHPK.shape[-2]
        q_BHPK, k_BHPK = (q_BHPK * q_BHPK.shape[-1] ** -0.5).to(dtype), k_BHPK.to(dtype)
        maps: list[Tensor] = []
        mixed: list[Tensor] = []
        for queries, keys in _chunks(P, causal=causal):
            score_BHQP = q_BHPK[..., queries, :] @ k_BHPK[..., keys, :].transpose(-1, -2)
            if causal:
                Q = score_BHQP.shape[-2]
                ahead_QQ = torch.full((Q, Q), -torch.inf, dtype=dtype, device=v_BHPK.device).triu(1)
                score_BHQP = score_BHQP + functional.pad(ahead_QQ, (queries.start, 0))
            if mask is not None:
                allowed = mask[..., queries, :]
                score_BHQP = score_BHQP + (allowed if allowed.is_floating_point() else additive(allowed, dtype))
            maps.append(score_BHQP.softmax(-1))
            mixed.append(maps[-1] @ v_BHPK[..., keys, :])
        ctx.save_for_backward(q_BHPK, k_BHPK, v_BHPK, *maps)
        ctx.causal = causal
        return torch.cat(mixed, -2)

    @staticmethod
    def backward(
        ctx: Any,  # as in forward
        *grad_outputs: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (d_mixed_BHPK,) = grad_outputs
        q_BHPK, k_BHPK, v_BHPK, *maps = ctx.saved_tensors
        d_q: list[Tensor] = []
        d_k: list[Tensor] = []
        d_v: list[Tensor] = []
        for (queries, keys), map_BHQP in zip(_chunks(v_BHPK.shape[-2], causal=ctx.causal), maps, strict=True):
            d_mixed_BHQK = d_mixed_BHPK[..., queries, :]
            d_map_BHQP = d_mixed_BHQK @ v_BHPK[..., keys, :].transpose(-1, -2)
            d_score_BHQP = torch.ops.aten._softmax_backward_data(d_map_BHQP, map_BHQP, -1, map_BHQP.dtype)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            d_q.append(d_score_BHQP @ k_BHPK[..., keys, :])
            d_k.append(d_score_BHQP.transpose(-1, -2) @ q_BHPK[..., queries, :])
            d_v.append(map_BHQP.transpose(-1, -2) @ d_mixed_BHQK)
        return torch.cat(d_q, -2) * q_BHPK.shape[-1] ** -0.5, _sum_over_chunks(d_k), _sum_over_chunks(d_v), None, None


def _chunks(P: int, *, causal: bool) -> list[tuple[slice, slice]]:
    """Chunks of queries of even length, and the keys that each may attend to."""
    length = -(-P // -(-P // _MAX_CHUNK))  # even: a short last chunk would cost as many calls
    ends = [min(P, start + length) for start in range(0, P, length)]
    return [(slice(start, end), slice(0, end if causal else P)) for start, end in pairwise([0, *ends])]


def _sum_over_chunks(parts: list[Tensor]) -> Tensor:
    """Sum of parts (B, H, N, K), each over the first N keys, N growing.

    Summed piece by piece: a compiler turns adding in place into a loop that checks for each element which parts it has.
    """
    ends = dict.fromkeys(part.shape[-2] for part in parts)
    pieces = [
        torch.stack([part[..., start:end, :] for part in parts if part.shape[-2] >= end]).sum(0)
        for start, end in pairwise([0, *ends])
    ]
    return torch.cat(pieces, -2)


def matmul(q_BHPK: Tensor, k_BHPK: Tensor, v_BHPK: Tensor, attention: AttentionSpec) -> Tensor:
    """Attention as batched matmuls."""
    mask = None if attention.mask is None else _per_head(attention.mask)
    with torch.autocast(v_BHPK.device.type, enabled=False):  # autocast would widen every map in softmax
        causal = attention.causal and mask is None
        return cast("Tensor", _ChunkedAttention.apply(q_BHPK, k_BHPK, v_BHPK, causal, mask))


def flex(q_BHPK: Tensor, k_BHPK: Tensor, v_BHPK: Tensor, attention: AttentionSpec) -> Tensor:
    """Attention by a kernel that skips blocks of the mask without any pair.

    Falls back to `sdpa` without a mask, for narrow heads, and in code that is not compiled: the kernel exists for
    compiled code only.
    """
    mask = attention.mask
    if mask is None or q_BHPK.shape[-1] < _MIN_FLEX_HEAD_WIDTH or not torch.compiler.is_compiling():
        return sdpa(q_BHPK, k_BHPK, v_BHPK, attention)
    per_row = mask.ndim == 3

    def allowed(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return mask[row, query, key] if per_row else mask[query, key]

    blocks = flex_attention.create_block_mask(
        allowed, len(mask) if per_row else None, None, *mask.shape[-2:], device=str(mask.device)
    )
    # One type, which autocast does not ensure here, and contiguous, which its CPU code assumes (docs/log.md).
    q_BHPK, k_BHPK, v_BHPK = (part.to(v_BHPK.dtype).contiguous() for part in (q_BHPK, k_BHPK, v_BHPK))
    mixed = flex_attention.flex_attention(q_BHPK, k_BHPK, v_BHPK, block_mask=blocks)
    assert isinstance(mixed, Tensor)
    return mixed


BACKENDS: dict[str, Backend] = {"sdpa": sdpa, "matmul": matmul, "flex": flex}
"""By name in a plan.

`sdpa` and `matmul` run anywhere; `flex` (Dong et al. 2024, arXiv 2412.05496) has no gradients on CPU.
Which is fastest depends on the machine; they agree to rounding.
"""
