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


def rotate(x_BHPK: Tensor, cos_PK: Tensor, sin_PK: Tensor) -> Tensor:
    """Rotate each pair (k, k + K/2) by its position's angle; same shape."""
    return torch.addcmul(x_BHPK * cos_PK, x_BHPK.roll(x_BHPK.shape[-1] // 2, -1), sin_PK)


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

    def forward(self, x_BPD: Tensor, cos_PK: Tensor, sin_PK: Tensor, attention: AttentionSpec) -> Tensor:
        """Mix positions as the spec allows; same shape."""
        B, P, D = x_BPD.shape
        qkv_BHPK = self.qkv_proj(x_BPD).view(B, P, 3 * self.n_heads, D // self.n_heads).transpose(1, 2)
        qk_BHPK, v_BHPK = qkv_BHPK.split((2 * self.n_heads, self.n_heads), dim=1)
        q_BHPK, k_BHPK = rotate(qk_BHPK, cos_PK, sin_PK).chunk(2, dim=1)
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

    def forward(self, x_BPD: Tensor, cos_PK: Tensor, sin_PK: Tensor, attention: AttentionSpec) -> Tensor:
        """Update the residual stream; same shape."""
        x_BPD = x_BPD + self.self_attn(self.input_layernorm(x_BPD), cos_PK, sin_PK, attention)
        return x_BPD + self.mlp(self.post_attention_layernorm(x_BPD))
