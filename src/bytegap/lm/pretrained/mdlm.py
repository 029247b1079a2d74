"""MDLM (Sahoo et al. 2024, arXiv 2406.07524): masked diffusion with a DiT and rotary positions, at noise level 0.

The network is a pre-norm Transformer. A vector computed from the noise level shifts and scales its norms and gates its
branches. Models without time conditioning always get level 0, so that the vector is a constant.
MASK is never predicted: its logit is minus infinity (SUBS, section 3.2.3).

B sequences, P positions, N = B * P, M selected positions, D hidden size, V ids.
"""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import ConfigFields, JsonObject, parse_config, sequence_length
from bytegap.lm.pretrained.tokenizer_files import load_tokenizer_and_ids
from bytegap.lm.pretrained.weight_files import copy_weights, read_weights
from bytegap.nn.attention_spec import BIDIRECTIONAL, AttentionSpec
from bytegap.nn.layers import rope_table, rotate
from bytegap.objectives.mdm import MaskedDiffusion

_ROPE_BASE = 10_000.0
_NOISE_FEATURES = 256  # cosines and sines of the noise level
_PREFIX = "backbone."
_DERIVED_WEIGHT = "rotary_emb.inv_freq"  # in their files, but a function of the hidden size


class _Config(ConfigFields):
    """Sizes; MASK is the last id."""

    hidden_dim: int
    cond_dim: int
    n_blocks: int
    n_heads: int
    vocab_size: int
    model_length: int
    time_conditioning: Literal[False] = False
    """True would make its likelihood that of one noise schedule, which is not scored here."""


def load(folder: Path, config: JsonObject, context: int | None) -> LanguageModel:
    """The model in `folder`, on the CPU; ModelError where config.json describes another network."""
    fields = parse_config(folder, _Config, config)
    tokenizer, vocabulary = load_tokenizer_and_ids(folder, config, fields.vocab_size, fields.vocab_size - 1)
    network = DiT(fields)
    parameters = {_PREFIX + name: parameter for name, parameter in network.named_parameters()}
    weights = ((name, weight) for name, weight in read_weights(folder) if name != _PREFIX + _DERIVED_WEIGHT)
    copy_weights(folder, parameters, weights)
    return LanguageModel(
        name=folder.resolve().name,
        network=network.eval(),
        objective=MaskedDiffusion(),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        seq_len=sequence_length(folder, fields.model_length, context),
    )


class _Norm(nn.Module):
    """Layer norm with a gain and no bias, then shift and scale."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_dim))

    def forward(self, x_BPD: Tensor, shift_D: Tensor, scale_D: Tensor) -> Tensor:
        return functional.layer_norm(x_BPD, self.weight.shape, self.weight) * (1 + scale_D) + shift_D


class _Block(nn.Module):
    """Attention, then a GELU MLP; each has a modulated norm before it and a gate after it."""

    def __init__(self, hidden_dim: int, n_heads: int, cond_dim: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm1, self.norm2 = _Norm(hidden_dim), _Norm(hidden_dim)
        self.attn_qkv = nn.Linear(hidden_dim, 3 * hidden_dim, bias=False)
        self.attn_out = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_dim, 4 * hidden_dim), nn.GELU("tanh"), nn.Linear(4 * hidden_dim, hidden_dim)
        )
        self.adaLN_modulation = nn.Linear(cond_dim, 6 * hidden_dim)

    def forward(self, x_BPD: Tensor, noise_embedding: Tensor, cos_PK: Tensor, sin_PK: Tensor) -> Tensor:
        modulation: Tensor = self.adaLN_modulation(noise_embedding)
        attn_shift, attn_scale, attn_gate, mlp_shift, mlp_scale, mlp_gate = modulation.chunk(6)
        qkv_BPD: Tensor = self.attn_qkv(self.norm1(x_BPD, attn_shift, attn_scale))
        q_BHPK, k_BHPK, v_BHPK = qkv_BPD.view(*x_BPD.shape[:2], 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed_BHPK = functional.scaled_dot_product_attention(
            rotate(q_BHPK, cos_PK, sin_PK), rotate(k_BHPK, cos_PK, sin_PK), v_BHPK
        )
        x_BPD = x_BPD + attn_gate * self.attn_out(mixed_BHPK.transpose(1, 2).flatten(2))
        return x_BPD + mlp_gate * self.mlp(self.norm2(x_BPD, mlp_shift, mlp_scale))


class _Head(nn.Module):
    """A modulated norm and the logits."""

    def __init__(self, hidden_dim: int, cond_dim: int, n_ids: int) -> None:
        super().__init__()
        self.norm_final = _Norm(hidden_dim)
        self.linear = nn.Linear(hidden_dim, n_ids)
        self.adaLN_modulation = nn.Linear(cond_dim, 2 * hidden_dim)

    def forward(self, x_MD: Tensor, noise_embedding: Tensor) -> Tensor:
        modulation: Tensor = self.adaLN_modulation(noise_embedding)
        return self.linear(self.norm_final(x_MD, *modulation.chunk(2)))


class DiT(nn.Module):
    """Token ids in, logits out; modules have the names of MDLM's weights."""

    def __init__(self, fields: _Config) -> None:
        """The network of a config, its weights not yet filled."""
        super().__init__()
        D, cond_dim = fields.hidden_dim, fields.cond_dim
        self.vocab_embed = nn.ParameterDict({"embedding": torch.zeros(fields.vocab_size, D)})
        noise_mlp = nn.Sequential(nn.Linear(_NOISE_FEATURES, cond_dim), nn.SiLU(), nn.Linear(cond_dim, cond_dim))
        self.sigma_map = nn.ModuleDict({"mlp": noise_mlp})
        self.blocks = nn.ModuleList(_Block(D, fields.n_heads, cond_dim) for _ in range(fields.n_blocks))
        self.output_layer = _Head(D, cond_dim, fields.vocab_size)
        cos_PK, sin_PK = rope_table(fields.model_length, D // fields.n_heads, _ROPE_BASE)
        self.cos_PK: Tensor
        self.sin_PK: Tensor
        self.register_buffer("cos_PK", cos_PK, persistent=False)
        self.register_buffer("sin_PK", sin_PK, persistent=False)

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None, attention: AttentionSpec) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (N, V) at all positions; attention is bidirectional."""
        assert attention == BIDIRECTIONAL
        embedding: Tensor = self.vocab_embed["embedding"]
        x_BPD = embedding[ids_BP]
        noise_features = x_BPD.new_zeros(_NOISE_FEATURES)
        noise_features[: _NOISE_FEATURES // 2] = 1.0  # cos 0 and sin 0
        noise_embedding = functional.silu(self.sigma_map["mlp"](noise_features))
        cos_PK, sin_PK = self.cos_PK[: ids_BP.shape[1]], self.sin_PK[: ids_BP.shape[1]]
        for block in self.blocks:
            x_BPD = block(x_BPD, noise_embedding, cos_PK, sin_PK)
        x_ND = x_BPD.flatten(0, 1)
        x_MD = x_ND if positions_M is None else x_ND.index_select(0, positions_M)
        logits_MV: Tensor = self.output_layer(x_MD, noise_embedding)
        mask = torch.tensor([logits_MV.shape[1] - 1], device=logits_MV.device)
        return logits_MV.index_fill(1, mask, -torch.inf)
