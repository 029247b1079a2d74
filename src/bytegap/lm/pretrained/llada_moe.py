"""LLaDA-MoE (Zhu et al. 2025, arXiv 2509.24389): LLaDA with norms of queries and keys, and a mixture of experts.

The network is a bidirectional Qwen3-MoE whose router's probabilities are not made to sum to 1 over the chosen experts.
"""

from pathlib import Path
from typing import Literal

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import JsonObject, parse_config
from bytegap.lm.pretrained.masked_llama import LlamaFields, LlamaOptions, load_masked_llama

DEFAULT_MASK = 156_895
"""MASK of the published checkpoints, whose config.json does not always name it."""


class _Config(LlamaFields):
    """The choices that make it this network."""

    expert_intermediate_size: int
    num_experts: int
    num_experts_per_tok: int
    mask_token_id: int = DEFAULT_MASK
    attention_bias: Literal[False] = False
    clip_qkv: None = None
    qk_layernorm: bool = True
    shared_expert_intermediate_size: None = None
    moe_router_score_function: Literal["softmax"] = "softmax"
    moe_router_enable_expert_bias: Literal[False] = False
    norm_topk_prob: Literal[False] | None = None
    partial_rotary_factor: Literal[1] = 1
    moe_layer_freq: list[Literal[1]] | None = None


def load(folder: Path, config: JsonObject, context: int | None) -> LanguageModel:
    """The model in `folder`, on the CPU; ModelError where config.json describes another network."""
    fields = parse_config(folder, _Config, config)
    options = LlamaOptions(
        d_ff=fields.expert_intermediate_size,
        has_qk_norm=fields.qk_layernorm,
        n_experts=fields.num_experts,
        experts_per_token=fields.num_experts_per_tok,
    )
    return load_masked_llama(folder, config, fields, options, context)
