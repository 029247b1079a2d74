"""A bidirectional Llama with the options of published masked diffusion models, its modules named as Hugging Face does.

Options: biases of the projections of queries, keys and values (Qwen2); keys and values shared between heads; RMSNorm of
each head's queries and keys and a mixture of experts (Qwen3-MoE); logits that stand one position before their token.

B sequences, P positions, N = B * P, M selected positions, D hidden size, K width of a head, V ids.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import ConfigFields, JsonObject, sequence_length
from bytegap.lm.pretrained.tokenizer_files import load_tokenizer_and_ids
from bytegap.lm.pretrained.weight_files import copy_weights, read_weights
from bytegap.nn.attention_spec import BIDIRECTIONAL, AttentionSpec
from bytegap.nn.layers import RMSNorm, rope_table, rotate
from bytegap.objectives.mdm import MaskedDiffusion


class LlamaFields(ConfigFields):
    """Keys of config.json that all of these models have, and the choices that make each a Llama."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    mask_token_id: int
    hidden_act: Literal["silu"] = "silu"
    tie_word_embeddings: Literal[False] = False
    rope_scaling: None = None


@dataclass(frozen=True)
class LlamaOptions:
    """What the models differ in."""

    d_ff: int
    """Of the MLP, or of each expert."""
    has_qkv_bias: bool = False
    has_qk_norm: bool = False
    n_experts: int = 0
    """0: one MLP and no router."""
    experts_per_token: int = 0
    is_shifted: bool = False
    """The logits at a position are of the token after it, as in the AR model that Dream began from."""


def load_masked_llama(
    folder: Path, config: JsonObject, fields: LlamaFields, options: LlamaOptions, context: int | None
) -> LanguageModel:
    """The model in `folder`, on the CPU; ModelError where its files do not fit together."""
    tokenizer, vocabulary = load_tokenizer_and_ids(folder, config, fields.vocab_size, fields.mask_token_id)
    network = MaskedLlama(fields, options)
    copy_weights(folder, dict(network.named_parameters()), read_weights(folder))
    return LanguageModel(
        name=folder.resolve().name,
        network=network.eval(),
        objective=MaskedDiffusion(),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        seq_len=sequence_length(folder, fields.max_position_embeddings, context),
    )


class MaskedLlama(nn.Module):
    """Token ids in, logits out."""

    def __init__(self, fields: LlamaFields, options: LlamaOptions) -> None:
        """The network, its weights not yet filled."""
        super().__init__()
        self.is_shifted = options.is_shifted
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(fields.vocab_size, fields.hidden_size),
                "layers": nn.ModuleList(_Layer(fields, options) for _ in range(fields.num_hidden_layers)),
                "norm": RMSNorm(fields.hidden_size, fields.rms_norm_eps),
            }
        )
        self.lm_head = nn.Linear(fields.hidden_size, fields.vocab_size, bias=False)
        cos_PK, sin_PK = rope_table(
            fields.max_position_embeddings, fields.hidden_size // fields.num_attention_heads, fields.rope_theta
        )
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

    def __init__(self, fields: LlamaFields, options: LlamaOptions) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(fields.hidden_size, fields.rms_norm_eps)
        self.self_attn = _Attention(fields, options)
        self.post_attention_layernorm = RMSNorm(fields.hidden_size, fields.rms_norm_eps)
        self.mlp = _Experts(fields, options) if options.n_experts else _MLP(fields, options)

    def forward(self, x_BPD: Tensor, cos_PK: Tensor, sin_PK: Tensor) -> Tensor:
        x_BPD = x_BPD + self.self_attn(self.input_layernorm(x_BPD), cos_PK, sin_PK)
        return x_BPD + self.mlp(self.post_attention_layernorm(x_BPD))


class _Attention(nn.Module):
    def __init__(self, fields: LlamaFields, options: LlamaOptions) -> None:
        super().__init__()
        width = fields.hidden_size // fields.num_attention_heads
        self.n_heads, self.n_kv_heads = fields.num_attention_heads, fields.num_key_value_heads
        self.q_proj = nn.Linear(fields.hidden_size, fields.num_attention_heads * width, bias=options.has_qkv_bias)
        self.k_proj = nn.Linear(fields.hidden_size, fields.num_key_value_heads * width, bias=options.has_qkv_bias)
        self.v_proj = nn.Linear(fields.hidden_size, fields.num_key_value_heads * width, bias=options.has_qkv_bias)
        self.o_proj = nn.Linear(fields.num_attention_heads * width, fields.hidden_size, bias=False)
        if options.has_qk_norm:
            self.q_norm = RMSNorm(width, fields.rms_norm_eps)
            self.k_norm = RMSNorm(width, fields.rms_norm_eps)
        self.has_qk_norm = options.has_qk_norm

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
    def __init__(self, fields: LlamaFields, options: LlamaOptions) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(fields.hidden_size, options.d_ff, bias=False)
        self.up_proj = nn.Linear(fields.hidden_size, options.d_ff, bias=False)
        self.down_proj = nn.Linear(options.d_ff, fields.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class _Experts(nn.Module):
    """Each position goes to its best experts, weighted by the router's probabilities among all of them."""

    def __init__(self, fields: LlamaFields, options: LlamaOptions) -> None:
        super().__init__()
        self.gate = nn.Linear(fields.hidden_size, options.n_experts, bias=False)
        self.experts = nn.ModuleList(_MLP(fields, options) for _ in range(options.n_experts))
        self.per_token = options.experts_per_token

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
