"""MDLM (Sahoo et al. 2024, arXiv 2406.07524): masked diffusion by a DiT with rotary positions, its noise level at zero.

The network is a pre-norm Transformer whose norms are shifted and scaled, and whose branches are gated, by a vector made
of the noise level; models that are not told it see level 0 always, which makes the vector one constant. A hidden symbol
is never MASK: its logit is minus infinity (SUBS, section 3.2.3). B rows, P positions, D width, M chosen positions.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytegap import plugins
from bytegap.models._blocks import rotary_table, rotate
from bytegap.pretrained._folder import PASSES, checked, fill, row_symbols, symbols_of, weights
from bytegap.records import Part
from bytegap.sight import ALL, Sight
from bytegap.trained import Trained

_ROTARY_BASE = 10_000.0
_LEVEL_FEATURES = 256  # cosines and sines of the noise level
_PREFIX = "backbone."
_DERIVED = "rotary_emb.inv_freq"  # kept among their weights, and a function of the width


class _Config(Part, extra="ignore"):
    """The sizes; MASK is the last id."""

    hidden_dim: int
    cond_dim: int
    n_blocks: int
    n_heads: int
    vocab_size: int
    model_length: int
    time_conditioning: Literal[False] = False
    """True would make its likelihood that of one noise schedule, which is not scored here."""


def opened(home: Path, given: dict[str, Any], context: int | None) -> Trained:
    """The model in the folder `home`, on the CPU; ModelError where it is none of these."""
    config = checked(home, _Config, given)
    tokenizer, vocabulary = symbols_of(home, given, config.vocab_size, config.vocab_size - 1)
    network = DiT(config)
    places = {_PREFIX + name: weight for name, weight in network.named_parameters()}
    fill(home, places, ((name, weight) for name, weight in weights(home) if name != _PREFIX + _DERIVED))
    return Trained(
        name=home.resolve().name,
        network=network.eval(),
        objective=plugins.load("objectives", "mdm"),
        options=plugins.options("objectives", "mdm", {}),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        row_symbols=row_symbols(home, config.model_length, context),
        passes=PASSES,
        seed=0,
    )


class _Norm(nn.Module):
    """Layer norm with a gain and no bias, then shift and scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x_BPD: Tensor, shift_D: Tensor, scale_D: Tensor) -> Tensor:
        return functional.layer_norm(x_BPD, self.weight.shape, self.weight) * (1 + scale_D) + shift_D


class _Block(nn.Module):
    """Attention, then a GELU MLP, each on a modulated norm, each gated."""

    def __init__(self, width: int, heads: int, levels: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = _Norm(width), _Norm(width)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.adaLN_modulation = nn.Linear(levels, 6 * width)

    def forward(self, x_BPD: Tensor, level: Tensor, cos_PK: Tensor, sin_PK: Tensor) -> Tensor:
        shift_mix, scale_mix, gate_mix, shift_own, scale_own, gate_own = self.adaLN_modulation(level).chunk(6)
        qkv_BPD = self.attn_qkv(self.norm1(x_BPD, shift_mix, scale_mix))
        q_BHPK, k_BHPK, v_BHPK = qkv_BPD.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed_BHPK = functional.scaled_dot_product_attention(
            rotate(q_BHPK, cos_PK, sin_PK), rotate(k_BHPK, cos_PK, sin_PK), v_BHPK
        )
        x_BPD = x_BPD + gate_mix * self.attn_out(mixed_BHPK.transpose(1, 2).flatten(2))
        return x_BPD + gate_own * self.mlp(self.norm2(x_BPD, shift_own, scale_own))


class _Head(nn.Module):
    """A modulated norm and the logits."""

    def __init__(self, width: int, levels: int, ids: int) -> None:
        super().__init__()
        self.norm_final = _Norm(width)
        self.linear = nn.Linear(width, ids)
        self.adaLN_modulation = nn.Linear(levels, 2 * width)

    def forward(self, x_MD: Tensor, level: Tensor) -> Tensor:
        return self.linear(self.norm_final(x_MD, *self.adaLN_modulation(level).chunk(2)))


class DiT(nn.Module):
    """Ids in, logits out; its parts are named as theirs."""

    def __init__(self, config: _Config) -> None:
        super().__init__()
        D, levels = config.hidden_dim, config.cond_dim
        self.vocab_embed = nn.ParameterDict({"embedding": torch.zeros(config.vocab_size, D)})
        level = nn.Sequential(nn.Linear(_LEVEL_FEATURES, levels), nn.SiLU(), nn.Linear(levels, levels))
        self.sigma_map = nn.ModuleDict({"mlp": level})
        self.blocks = nn.ModuleList(_Block(D, config.n_heads, levels) for _ in range(config.n_blocks))
        self.output_layer = _Head(D, levels, config.vocab_size)
        cos_PK, sin_PK = rotary_table(config.model_length, D // config.n_heads, _ROTARY_BASE)
        self.cos_PK: Tensor
        self.sin_PK: Tensor
        self.register_buffer("cos_PK", cos_PK, persistent=False)
        self.register_buffer("sin_PK", sin_PK, persistent=False)

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None, sight: Sight) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (B * P, V) at all; every position sees all others."""
        assert sight == ALL
        x_BPD = self.vocab_embed["embedding"][ids_BP]
        features = x_BPD.new_zeros(_LEVEL_FEATURES)
        features[: _LEVEL_FEATURES // 2] = 1.0  # cosines and sines of level 0
        level = functional.silu(self.sigma_map["mlp"](features))
        cos_PK, sin_PK = self.cos_PK[: ids_BP.shape[1]], self.sin_PK[: ids_BP.shape[1]]
        for block in self.blocks:
            x_BPD = block(x_BPD, level, cos_PK, sin_PK)
        x_MD = x_BPD.flatten(0, 1)
        logits_MV = self.output_layer(x_MD if positions_M is None else x_MD.index_select(0, positions_M), level)
        return logits_MV.index_fill(1, torch.tensor([logits_MV.shape[1] - 1], device=logits_MV.device), -torch.inf)
