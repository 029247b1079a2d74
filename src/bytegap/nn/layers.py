"""The layers that every architecture here is made of: RMSNorm, rotary attention, SwiGLU.

B sequences, P positions (BOS and tokens), D d_model, H heads, K width of a head, F d_ff.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytegap.nn.attention import Backend, sdpa
from bytegap.nn.attention_spec import AttentionSpec


class RMSNorm(nn.Module):
    """Root-mean-square norm with a gain (Zhang and Sennrich 2019, eq. 4; arXiv 1910.07467)."""

    def __init__(self, d_model: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.epsilon = epsilon

    def forward(self, x_BPD: Tensor) -> Tensor:
        """Scale every position to unit mean square; same shape."""
        return functional.rms_norm(x_BPD, self.weight.shape, self.weight, self.epsilon)


def rope_table(positions: int, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (P, K) of rotary embedding, halves layout (Su et al. 2021, eq. 34; as in Llama)."""
    frequency = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angle_PK = torch.outer(torch.arange(positions, dtype=torch.float64), frequency).repeat(1, 2)
    sign_K = torch.ones(head_width, dtype=torch.float64)
    sign_K[: head_width // 2] = -1
    return angle_PK.cos().float(), (angle_PK.sin() * sign_K).float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (k, k + K/2) of x, (..., P, K), by its position's angle; same shape."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def rotary(table_PK: Tensor, P: int, attention: AttentionSpec) -> Tensor:
    """The rows of a rotary table at the positions of queries and keys, (..., P, K), to multiply (B, 2, H, P, K) with.

    The dimension of 2, queries and keys, is 1 where both have the same positions, and B where all sequences do.
    """
    keys = table_PK[:P] if attention.position_ids is None else table_PK[attention.position_ids]
    if attention.query_position_ids is None:
        return keys if keys.ndim == 2 else keys[:, None, None]
    queries = table_PK[attention.query_position_ids]
    queries, keys = (queries, keys.expand_as(queries)) if keys.ndim == 2 else (queries.expand_as(keys), keys)
    return torch.stack((queries, keys), -3)[..., None, :, :]


class NeighbourConvolution(nn.Module):
    """Depthwise convolution over visible neighbours, added to the input: x_p + sum over n of w_n * x_(p + n).

    `neighbours` of them: all before the position where attention is causal, half on each side otherwise.
    It looks at neighbours in the row, so the row must be in the order of the text.
    """

    def __init__(self, d_model: int, neighbours: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_model, neighbours))

    def forward(self, x_BPD: Tensor, visible_BP: Tensor, attention: AttentionSpec) -> Tensor:
        """Add what is visible next to each position; same shape."""
        P, K = x_BPD.shape[1], self.weight.shape[1]
        seen_BND = x_BPD * visible_BP[..., None]
        before = K if attention.causal or attention.cache is not None else K // 2
        if attention.cache is not None:  # rows that are read through a cache are causal, where a convolution is allowed
            seen_BND = attention.cache.append(self, seen_BND[:, None], seen_BND[:, None])[0][:, 0]
        windows_BPDW = functional.pad(seen_BND, (0, 0, before, K - before)).unfold(1, K + 1, 1)[:, -P:]
        others_BPDK = torch.cat((windows_BPDW[..., :before], windows_BPDW[..., before + 1 :]), -1)
        return x_BPD + torch.einsum("bpdk,dk->bpd", others_BPDK, self.weight)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions.

    One matmul gives queries, keys and values: in a small model the number of operations costs more than their FLOPs.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.backend: Backend = sdpa
        self.qkv_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x_BPD: Tensor, cos: Tensor, sin: Tensor, attention: AttentionSpec) -> Tensor:
        """Mix positions as the spec allows; same shape."""
        B, P, D = x_BPD.shape
        qkv_BHPK = self.qkv_proj(x_BPD).view(B, P, 3 * self.n_heads, D // self.n_heads).transpose(1, 2)
        qk_BHPK, v_BHPK = qkv_BHPK.split((2 * self.n_heads, self.n_heads), dim=1)
        q_BHPK, k_BHPK = rotate(qk_BHPK.unflatten(1, (2, self.n_heads)), cos, sin).unbind(1)
        if attention.cache is not None:
            k_BHPK, v_BHPK = attention.cache.append(self, k_BHPK, v_BHPK)
        mixed_BHPK = self.backend(q_BHPK, k_BHPK, v_BHPK, attention)
        return self.o_proj(mixed_BHPK.transpose(1, 2).reshape(B, P, D))


class SwiGLU(nn.Module):
    """Gated MLP, down(silu(gate x) * up x), gate and up in one matmul (Shazeer 2020, eq. 6; arXiv 2002.05202)."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(d_model, 2 * d_ff, bias=False)
        self.down_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x_BPD: Tensor) -> Tensor:
        """Transform each position alone; same shape."""
        gate_BPF, up_BPF = self.gate_up_proj(x_BPD).chunk(2, dim=-1)
        return self.down_proj(functional.silu(gate_BPF) * up_BPF)


class Block(nn.Module):
    """Pre-norm residual block: attention, then SwiGLU."""

    def __init__(self, d_model: int, n_heads: int, d_ff: int, *, epsilon: float) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(d_model, epsilon)
        self.self_attn = Attention(d_model, n_heads)
        self.post_attention_layernorm = RMSNorm(d_model, epsilon)
        self.mlp = SwiGLU(d_model, d_ff)

    def forward(self, x_BPD: Tensor, cos: Tensor, sin: Tensor, attention: AttentionSpec) -> Tensor:
        """Update the residual stream; same shape."""
        x_BPD = x_BPD + self.self_attn(self.input_layernorm(x_BPD), cos, sin, attention)
        return x_BPD + self.mlp(self.post_attention_layernorm(x_BPD))
