"""LLaDA-MoE (Zhu et al. 2025, arXiv 2509.24389): LLaDA with norms of queries and keys, and a mixture of experts.

The network is a bidirectional Qwen3-MoE whose router's probabilities are not made to sum to 1 over the chosen experts.
"""

from pathlib import Path
from typing import Literal

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import ConfigFields, JsonObject, parse_config, sequence_length
from bytegap.lm.pretrained.masked_llama import LlamaSizes, MaskedLlama
from bytegap.lm.pretrained.tokenizer_files import load_tokenizer_and_ids
from bytegap.lm.pretrained.weight_files import copy_weights, read_weights
from bytegap.objectives.mdm import MaskedDiffusion

DEFAULT_MASK = 156_895
"""MASK of the published checkpoints, whose config.json does not always name it."""


class _Config(ConfigFields):
    """Sizes, and the choices that make it this network."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    expert_intermediate_size: int
    num_experts: int
    num_experts_per_tok: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    mask_token_id: int = DEFAULT_MASK
    hidden_act: Literal["silu"] = "silu"
    tie_word_embeddings: Literal[False] = False
    attention_bias: Literal[False] = False
    clip_qkv: None = None
    qk_layernorm: bool = True
    shared_expert_intermediate_size: None = None
    moe_router_score_function: Literal["softmax"] = "softmax"
    moe_router_enable_expert_bias: Literal[False] = False
    norm_topk_prob: Literal[False] | None = None
    partial_rotary_factor: Literal[1] = 1
    rope_scaling: None = None
    moe_layer_freq: list[Literal[1]] | None = None


def load(folder: Path, config: JsonObject, context: int | None) -> LanguageModel:
    """The model in `folder`, on the CPU; ModelError where config.json describes another network."""
    fields = parse_config(folder, _Config, config)
    tokenizer, vocabulary = load_tokenizer_and_ids(folder, config, fields.vocab_size, fields.mask_token_id)
    network = MaskedLlama(
        LlamaSizes(
            n_ids=fields.vocab_size,
            d_model=fields.hidden_size,
            n_layers=fields.num_hidden_layers,
            n_heads=fields.num_attention_heads,
            n_kv_heads=fields.num_key_value_heads,
            d_ff=fields.expert_intermediate_size,
            max_positions=fields.max_position_embeddings,
            rope_base=fields.rope_theta,
            norm_epsilon=fields.rms_norm_eps,
            has_qk_norm=fields.qk_layernorm,
            n_experts=fields.num_experts,
            experts_per_token=fields.num_experts_per_tok,
        )
    )
    copy_weights(folder, dict(network.named_parameters()), read_weights(folder))
    return LanguageModel(
        name=folder.resolve().name,
        network=network.eval(),
        objective=MaskedDiffusion(),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        seq_len=sequence_length(folder, fields.max_position_embeddings, context),
    )
