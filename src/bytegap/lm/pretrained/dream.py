"""Dream (Ye et al. 2025, arXiv 2508.15487): masked diffusion with a bidirectional Qwen2, begun from an AR model.

It keeps that model's shift: the logits at a position are those of the token after it.
It was trained with mask probability t and weight 1 / t, its token-level weights aside, so that its bound is that of the
objective `mdm`, whatever weights it was trained with.
"""

from pathlib import Path
from typing import Literal

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import ConfigFields, JsonObject, parse_config, sequence_length
from bytegap.lm.pretrained.masked_llama import LlamaSizes, MaskedLlama
from bytegap.lm.pretrained.tokenizer_files import load_tokenizer_and_ids
from bytegap.lm.pretrained.weight_files import copy_weights, read_weights
from bytegap.objectives.mdm import MaskedDiffusion


class _Config(ConfigFields):
    """Sizes, and the choices that make it this network."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    mask_token_id: int
    hidden_act: Literal["silu"] = "silu"
    tie_word_embeddings: Literal[False] = False
    rope_scaling: None = None
    use_sliding_window: Literal[False] | None = None


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
            d_ff=fields.intermediate_size,
            max_positions=fields.max_position_embeddings,
            rope_base=fields.rope_theta,
            norm_epsilon=fields.rms_norm_eps,
            has_qkv_bias=True,
            is_shifted=True,
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
