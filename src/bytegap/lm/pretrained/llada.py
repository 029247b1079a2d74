"""LLaDA (Nie et al. 2025, arXiv 2502.09992): masked diffusion with a bidirectional Llama whose weights are renamed.

Our Transformer is that Llama, so that loading renames the weights; keys and values shared between heads are repeated.
It was trained with mask probability t and weight 1 / t, so that its bound is that of the objective `mdm`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from torch import Tensor

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import ConfigFields, JsonObject, parse_config, sequence_length
from bytegap.lm.pretrained.tokenizer_files import load_tokenizer_and_ids
from bytegap.lm.pretrained.weight_files import copy_weights, read_weights
from bytegap.models.transformer import TransformerConfig, as_llama
from bytegap.nn.layers import RMSNorm
from bytegap.objectives.mdm import MaskedDiffusion

_THEIR_NAMES = {
    "embed_tokens": "wte",
    "norm": "ln_f",
    "lm_head": "ff_out",
    "layers": "blocks",
    "self_attn.o_proj": "attn_out",
    "self_attn.": "",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
    "post_attention_layernorm": "ff_norm",
    "input_layernorm": "attn_norm",
}
_OUR_NAMES = re.compile("|".join(sorted(map(re.escape, _THEIR_NAMES), key=len, reverse=True)))


class _Config(ConfigFields):
    """Sizes, and the choices that make it a Llama; with any other choice it is a network that we do not have."""

    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int | None = None
    mlp_hidden_size: int
    vocab_size: int
    embedding_size: int | None = None
    max_sequence_length: int
    rope_theta: float
    rms_norm_eps: float
    mask_token_id: int
    weight_tying: Literal[False] = False
    block_type: Literal["llama"] = "llama"
    block_group_size: Literal[1] = 1
    activation_type: Literal["silu"] = "silu"
    layer_norm_type: Literal["rms"] = "rms"
    layer_norm_with_affine: Literal[True] = True
    bias_for_layer_norm: Literal[False] | None = None
    include_bias: Literal[False] = False
    include_qkv_bias: Literal[False] = False
    attention_layer_norm: Literal[False] = False
    input_emb_norm: Literal[False] = False
    scale_logits: Literal[False] = False
    alibi: Literal[False] = False
    rope: Literal[True] = True
    clip_qkv: None = None


def load(folder: Path, config: JsonObject, context: int | None) -> LanguageModel:
    """The model in `folder`, on the CPU; ModelError where config.json describes another network."""
    fields = parse_config(folder, _Config, config)
    head_rows = fields.embedding_size or fields.vocab_size
    tokenizer, vocabulary = load_tokenizer_and_ids(folder, config, head_rows, fields.mask_token_id)
    network = TransformerConfig(
        n_ids=vocabulary.n_ids,
        d_model=fields.d_model,
        n_layers=fields.n_layers,
        n_heads=fields.n_heads,
        d_ff=fields.mlp_hidden_size,
        max_positions=fields.max_sequence_length,
        rope_base=fields.rope_theta,
    ).build()
    for module in network.modules():
        if isinstance(module, RMSNorm):
            module.epsilon = fields.rms_norm_eps
    parameters = as_llama(dict(network.named_parameters()))
    renamed = {_their_name(name): parameter for name, parameter in parameters.items()}
    copy_weights(folder, renamed, _unshared_weights(folder, fields))
    return LanguageModel(
        name=folder.resolve().name,
        network=network.eval(),
        objective=MaskedDiffusion(),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        seq_len=sequence_length(folder, fields.max_sequence_length, context),
    )


def _their_name(name: str) -> str:
    """LLaDA's name of one of Llama's weights."""
    return "model.transformer." + _OUR_NAMES.sub(lambda match: _THEIR_NAMES[match[0]], name.removeprefix("model."))


def _unshared_weights(folder: Path, fields: _Config) -> Iterator[tuple[str, Tensor]]:
    """The weights, with the projections of shared keys and values repeated for each head (grouped-query attention)."""
    n_kv_heads = fields.n_kv_heads or fields.n_heads
    for name, weight in read_weights(folder):
        if n_kv_heads < fields.n_heads and name.endswith(("k_proj.weight", "v_proj.weight")):
            by_head = weight.view(n_kv_heads, -1, weight.shape[1]).repeat_interleave(fields.n_heads // n_kv_heads, 0)
            yield name, by_head.flatten(0, 1)
        else:
            yield name, weight
