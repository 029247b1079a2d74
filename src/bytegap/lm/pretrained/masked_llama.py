"""A bidirectional Llama with the options of published masked diffusion models, its modules named as Hugging Face does.

Options: biases of the projections of queries, keys and values (Qwen2); keys and values shared between heads; RMSNorm of
each head's queries and keys and a mixture of experts (Qwen3-MoE); logits that stand one position before their token.

B sequences, P positions, N = B * P, M selected positions, D hidden size, K width of a head, V ids.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytegap.nn.attention_spec import BIDIRECTIONAL, AttentionSpec
from bytegap.nn.layers import RMSNorm, rope_table, rotate


@dataclass(frozen=True)
class LlamaSizes:
    """What fixes the architecture."""

    n_ids: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_ff: int
    """Of the MLP, or of each expert."""
    max_positions: int
    rope_base: float
    norm_epsilon: float
    has_qkv_bias: bool = False
    has_qk_norm: bool = False
    n_experts: int = 0
    """0: one MLP and no router."""
    experts_per_token: int = 0
    is_shifted: bool = False
    """The logits at a position are of the token after it, as in the AR model that Dream began from."""


class MaskedLlama(nn.Module):
    """Token ids in, logits out."""

    def __init__(self, sizes: LlamaSizes) -> None:
        """The network, its weights not yet filled."""
        super().__init__()
        self.is_shifted = sizes.is_shifted
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(sizes.n_ids, sizes.d_model),
                "layers": nn.ModuleList(_Layer(sizes) for _ in range(sizes.n_layers)),
                "norm": RMSNorm(sizes.d_model, sizes.norm_epsilon),
            }
        )
        self.lm_head = nn.Linear(sizes.d_model, sizes.n_ids, bias=False)
        cos_PK, sin_PK = rope_table(sizes.max_positions, sizes.d_model // sizes.n_heads, sizes.rope_base)
        self.cos_PK: Tensor
        self.sin_PK: Tensor
        self.register_buffer("cos_PK", cos_PK, persistent=False)
        self.register_buffer("sin_PK", sin_PK, persistent=False)

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None, attention: AttentionSpec) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (N, V) at all positions; attention is bidirectional."""
        assert attention == BIDIRECTIONAL
        x_BPD: Tensor = self.model["embed_tokens"](ids_BP)
        P = ids_BP.shape[1]
        for layer in cast("nn.ModuleList", self.model["layers"]):
            x_BPD = layer(x_BPD, self.cos_PK[:P], self.sin_PK[:P])
        x_BPD = self.model["norm"](x_BPD)
        if self.is_shifted:  # the first position has none before it, and predicts nothing
            x_BPD = torch.cat((x_BPD[:, :1], x_BPD[:, :-1]), 1)
        x_ND = x_BPD.flatten(0, 1)
        return self.lm_head(x_ND if positions_M is None else x_ND.index_select(0, positions_M))


class _Layer(nn.Module):
    """Pre-norm residual layer: attention, then an MLP or experts."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(sizes.d_model, sizes.norm_epsilon)
        self.self_attn = _Attention(sizes)
        self.post_attention_layernorm = RMSNorm(sizes.d_model, sizes.norm_epsilon)
        self.mlp = _Experts(sizes) if sizes.n_experts else _MLP(sizes)

    def forward(self, x_BPD: Tensor, cos_PK: Tensor, sin_PK: Tensor) -> Tensor:
        x_BPD = x_BPD + self.self_attn(self.input_layernorm(x_BPD), cos_PK, sin_PK)
        return x_BPD + self.mlp(self.post_attention_layernorm(x_BPD))


class _Attention(nn.Module):
    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        width = sizes.d_model // sizes.n_heads
        self.n_heads, self.n_kv_heads = sizes.n_heads, sizes.n_kv_heads
        self.q_proj = nn.Linear(sizes.d_model, sizes.n_heads * width, bias=sizes.has_qkv_bias)
        self.k_proj = nn.Linear(sizes.d_model, sizes.n_kv_heads * width, bias=sizes.has_qkv_bias)
        self.v_proj = nn.Linear(sizes.d_model, sizes.n_kv_heads * width, bias=sizes.has_qkv_bias)
        self.o_proj = nn.Linear(sizes.n_heads * width, sizes.d_model, bias=False)
        if sizes.has_qk_norm:
            self.q_norm = RMSNorm(width, sizes.norm_epsilon)
            self.k_norm = RMSNorm(width, sizes.norm_epsilon)
        self.has_qk_norm = sizes.has_qk_norm

    def forward(self, x_BPD: Tensor, cos_PK: Tensor, sin_PK: Tensor) -> Tensor:
        q_BPHK = self.q_proj(x_BPD).unflatten(2, (self.n_heads, -1))
        k_BPHK = self.k_proj(x_BPD).unflatten(2, (self.n_kv_heads, -1))
        v_BPHK = self.v_proj(x_BPD).unflatten(2, (self.n_kv_heads, -1))
        if self.has_qk_norm:
            q_BPHK, k_BPHK = self.q_norm(q_BPHK), self.k_norm(k_BPHK)
        mixed_BHPK = functional.scaled_dot_product_attention(
            rotate(q_BPHK.transpose(1, 2), cos_PK, sin_PK),
            rotate(k_BPHK.transpose(1, 2), cos_PK, sin_PK),
            v_BPHK.transpose(1, 2),
            enable_gqa=self.n_kv_heads < self.n_heads,
        )
        return self.o_proj(mixed_BHPK.transpose(1, 2).flatten(2))


class _MLP(nn.Module):
    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(sizes.d_model, sizes.d_ff, bias=False)
        self.up_proj = nn.Linear(sizes.d_model, sizes.d_ff, bias=False)
        self.down_proj = nn.Linear(sizes.d_ff, sizes.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class _Experts(nn.Module):
    """Each position goes to its best experts, weighted by the router's probabilities among all of them."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.gate = nn.Linear(sizes.d_model, sizes.n_experts, bias=False)
        self.experts = nn.ModuleList(_MLP(sizes) for _ in range(sizes.n_experts))
        self.per_token = sizes.experts_per_token

    def forward(self, x_BPD: Tensor) -> Tensor:
        x_ND = x_BPD.flatten(0, 1)
        best = self.gate(x_ND).softmax(-1, dtype=torch.float32).topk(self.per_token)
        mixed_ND = torch.zeros_like(x_ND)
        for number, expert in enumerate(self.experts):
            row, rank = (best.indices == number).nonzero(as_tuple=True)
            if len(row):
                weight = best.values[row, rank, None].to(x_ND.dtype)
                mixed_ND.index_add_(0, row, expert(x_ND[row]) * weight)
        return mixed_ND.view_as(x_BPD)
