"""The pieces every architecture here is made of: RMSNorm, rotary attention, SwiGLU.

Shapes are in names: B rows, P positions (BOS and symbols), D width, H heads, K width of a head, F width of the MLP.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import flex_attention

from bytegap.sight import Sight

_LEAST_FLEX = 16  # width of a head that its kernel on a GPU asks for
_STRETCH = 128  # queries at most: shorter ones waste fewer products on what lies ahead, and cost more calls


class RMSNorm(nn.Module):
    """Root-mean-square norm with a gain (Zhang and Sennrich 2019, eq. 4; arXiv 1910.07467)."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x_BPD: Tensor) -> Tensor:
        """Scale every position to unit mean square; same shape."""
        return functional.rms_norm(x_BPD, self.weight.shape, self.weight, self.epsilon)


def rotary_table(positions: int, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (P, K) of rotary embedding, halves layout (Su et al. 2021, eq. 34; as in Llama)."""
    frequency = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angle_PK = torch.outer(torch.arange(positions, dtype=torch.float64), frequency).repeat(1, 2)
    sign_K = torch.ones(head_width, dtype=torch.float64)
    sign_K[: head_width // 2] = -1
    return angle_PK.cos().float(), (angle_PK.sin() * sign_K).float()


def rotate(x_BHPK: Tensor, cos_PK: Tensor, sin_PK: Tensor) -> Tensor:
    """Turn each pair (k, k + K/2) by its position's angle; same shape."""
    return torch.addcmul(x_BHPK * cos_PK, x_BHPK.roll(x_BHPK.shape[-1] // 2, -1), sin_PK)


def _fused(q_BHPK: Tensor, k_BHPK: Tensor, v_BHPK: Tensor, sight: Sight) -> Tensor:
    return functional.scaled_dot_product_attention(
        q_BHPK, k_BHPK, v_BHPK, attn_mask=sight.mask_PP, is_causal=sight.causal and sight.mask_PP is None
    )


class _Maps(torch.autograd.Function):
    """Attention as matmuls, one stretch of queries after another; causal ones see no keys beyond their own end.

    Autograd would keep scores, masks and maps, all of them in float32 under autocast. Here only the maps are kept, in
    the type of the values, and scores are never wider than that.
    """

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - takes no keywords
        ctx: Any,
        q_BHPK: Tensor,
        k_BHPK: Tensor,
        v_BHPK: Tensor,
        causal: bool,  # noqa: FBT001
        mask_PP: Tensor | None,
    ) -> Tensor:
        dtype, P = v_BHPK.dtype, v_BHPK.shape[-2]
        q_BHPK, k_BHPK = (q_BHPK * q_BHPK.shape[-1] ** -0.5).to(dtype), k_BHPK.to(dtype)
        maps, mixed = [], []
        for stretch, seen in _stretches(P, causal=causal):
            score_BHQP = q_BHPK[..., stretch, :] @ k_BHPK[..., seen, :].transpose(-1, -2)
            if causal:
                Q = score_BHQP.shape[-2]
                ahead_QQ = torch.full((Q, Q), -torch.inf, dtype=dtype, device=v_BHPK.device).triu(1)
                score_BHQP = score_BHQP + functional.pad(ahead_QQ, (stretch.start, 0))
            if mask_PP is not None:
                hidden_QP = torch.zeros_like(mask_PP[stretch], dtype=dtype).masked_fill(~mask_PP[stretch], -torch.inf)
                score_BHQP = score_BHQP + hidden_QP
            maps.append(score_BHQP.softmax(-1))
            mixed.append(maps[-1] @ v_BHPK[..., seen, :])
        ctx.save_for_backward(q_BHPK, k_BHPK, v_BHPK, *maps)
        ctx.causal = causal
        return torch.cat(mixed, -2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (d_mixed_BHPK,) = gradients
        q_BHPK, k_BHPK, v_BHPK, *maps = ctx.saved_tensors
        d_q, d_k, d_v = [], [], []
        for (stretch, seen), map_BHQP in zip(_stretches(v_BHPK.shape[-2], causal=ctx.causal), maps, strict=True):
            d_mixed_BHQK = d_mixed_BHPK[..., stretch, :]
            d_map_BHQP = d_mixed_BHQK @ v_BHPK[..., seen, :].transpose(-1, -2)
            d_score_BHQP = torch.ops.aten._softmax_backward_data(d_map_BHQP, map_BHQP, -1, map_BHQP.dtype)  # noqa: SLF001
            d_q.append(d_score_BHQP @ k_BHPK[..., seen, :])
            d_k.append(d_score_BHQP.transpose(-1, -2) @ q_BHPK[..., stretch, :])
            d_v.append(map_BHQP.transpose(-1, -2) @ d_mixed_BHQK)
        return torch.cat(d_q, -2) * q_BHPK.shape[-1] ** -0.5, _summed(d_k), _summed(d_v), None, None


def _stretches(P: int, *, causal: bool) -> list[tuple[slice, slice]]:
    """Queries taken at once, and the keys that they may see."""
    length = -(-P // -(-P // _STRETCH))  # even ones: a short last one would cost as many calls
    ends = [min(P, start + length) for start in range(0, P, length)]
    return [(slice(start, end), slice(0, end if causal else P)) for start, end in pairwise([0, *ends])]


def _summed(parts: list[Tensor]) -> Tensor:
    """Of parts (B, H, N, K), each over the first N keys, N growing.

    Piece by piece: a compiler turns adding in place into a loop that asks of each element which parts it has.
    """
    ends = dict.fromkeys(part.shape[-2] for part in parts)
    pieces = [
        torch.stack([part[..., start:end, :] for part in parts if part.shape[-2] >= end]).sum(0)
        for start, end in pairwise([0, *ends])
    ]
    return torch.cat(pieces, -2)


def _plain(q_BHPK: Tensor, k_BHPK: Tensor, v_BHPK: Tensor, sight: Sight) -> Tensor:
    with torch.autocast(v_BHPK.device.type, enabled=False):  # it would have softmax widen every map
        return _Maps.apply(q_BHPK, k_BHPK, v_BHPK, sight.causal and sight.mask_PP is None, sight.mask_PP)


def _sparse(q_BHPK: Tensor, k_BHPK: Tensor, v_BHPK: Tensor, sight: Sight) -> Tensor:
    """By a kernel that passes over blocks of the mask without any pair; `_fused` without a mask, or such a kernel.

    There is one for compiled code alone.
    """
    mask_PP = sight.mask_PP
    if mask_PP is None or q_BHPK.shape[-1] < _LEAST_FLEX or not torch.compiler.is_compiling():
        return _fused(q_BHPK, k_BHPK, v_BHPK, sight)
    blocks = flex_attention.create_block_mask(
        lambda _b, _h, query, key: mask_PP[query, key], None, None, *mask_PP.shape, device=mask_PP.device
    )
    # Of one type, which autocast does not see to here, and with plain strides, which its CPU code takes for granted
    # (docs/log.md).
    q_BHPK, k_BHPK, v_BHPK = (part.to(v_BHPK.dtype).contiguous() for part in (q_BHPK, k_BHPK, v_BHPK))
    return flex_attention.flex_attention(q_BHPK, k_BHPK, v_BHPK, block_mask=blocks)


ATTENTION = {"sdpa": _fused, "matmul": _plain, "flex": _sparse}
"""softmax(q k' / sqrt K) v, (B, H, P, K), by the library's fused kernel, as batched matmuls, or by its kernel for masks
with blocks to pass over (Dong et al. 2024, arXiv 2412.05496; no gradients on CPU): the same numbers to rounding. Which
is faster depends on the machine."""


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions, as far as the sight goes.

    Queries, keys and values come of one matmul, since a small model costs its operations more than their FLOPs.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attend = _fused
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x_BPD: Tensor, cos_PK: Tensor, sin_PK: Tensor, sight: Sight) -> Tensor:
        """Mix positions; same shape."""
        B, P, D = x_BPD.shape
        qkv_BHPK = self.qkv_proj(x_BPD).view(B, P, 3 * self.heads, D // self.heads).transpose(1, 2)
        qk_BHPK, v_BHPK = qkv_BHPK.split((2 * self.heads, self.heads), dim=1)
        q_BHPK, k_BHPK = rotate(qk_BHPK, cos_PK, sin_PK).chunk(2, dim=1)
        if sight.memory is not None:
            k_BHPK, v_BHPK = sight.memory.joined(self, k_BHPK, v_BHPK)
        mixed_BHPK = self.attend(q_BHPK, k_BHPK, v_BHPK, sight)
        return self.o_proj(mixed_BHPK.transpose(1, 2).reshape(B, P, D))


class SwiGLU(nn.Module):
    """Gated MLP, down(silu(gate x) * up x), gate and up in one matmul (Shazeer 2020, eq. 6; arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(width, 2 * hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BPD: Tensor) -> Tensor:
        """Transform each position alone; same shape."""
        gate_BPF, up_BPF = self.gate_up_proj(x_BPD).chunk(2, dim=-1)
        return self.down_proj(functional.silu(gate_BPF) * up_BPF)


class Block(nn.Module):
    """Pre-norm residual block: attention, then SwiGLU."""

    def __init__(self, width: int, heads: int, hidden: int, *, epsilon: float) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(width, epsilon)
        self.self_attn = Attention(width, heads)
        self.post_attention_layernorm = RMSNorm(width, epsilon)
        self.mlp = SwiGLU(width, hidden)

    def forward(self, x_BPD: Tensor, cos_PK: Tensor, sin_PK: Tensor, sight: Sight) -> Tensor:
        """Refine the residual stream; same shape."""
        x_BPD = x_BPD + self.self_attn(self.input_layernorm(x_BPD), cos_PK, sin_PK, sight)
        return x_BPD + self.mlp(self.post_attention_layernorm(x_BPD))
