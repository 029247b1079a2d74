"""LLaDA (Nie et al. 2025, arXiv 2502.09992): masked diffusion by a Llama that sees everything, under other names.

Our own Transformer is that Llama, so that its weights are ours, renamed; keys and values that heads share are written
out for each. Trained with a mask probability of t and weight 1/t, its bound is that of `mdm`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from bytegap import plugins
from bytegap.models import transformer
from bytegap.models._blocks import RMSNorm
from bytegap.pretrained._folder import PASSES, checked, fill, row_symbols, symbols_of, weights
from bytegap.records import Part
from bytegap.trained import Trained

_NAMES = {
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
_OURS = re.compile("|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True)))


class _Config(Part, extra="ignore"):
    """The sizes, and the choices that make it a Llama: another choice is another network."""

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


def opened(home: Path, given: dict[str, Any], context: int | None) -> Trained:
    """The model in the folder `home`, on the CPU; ModelError where it is none of these."""
    config = checked(home, _Config, given)
    tokenizer, vocabulary = symbols_of(home, given, config.embedding_size or config.vocab_size, config.mask_token_id)
    network = transformer.build(
        transformer.Shape(
            vocabulary=vocabulary.ids,
            width=config.d_model,
            depth=config.n_layers,
            heads=config.n_heads,
            hidden=config.mlp_hidden_size,
            positions=config.max_sequence_length,
            rotary_base=config.rope_theta,
        )
    )
    for part in network.modules():
        if isinstance(part, RMSNorm):
            part.epsilon = config.rms_norm_eps
    places = transformer.as_llama(dict(network.named_parameters()))
    fill(home, {_theirs(name): place for name, place in places.items()}, _every_heads(home, config))
    return Trained(
        name=home.resolve().name,
        network=network.eval(),
        objective=plugins.load("objectives", "mdm"),
        options=plugins.options("objectives", "mdm", {}),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        row_symbols=row_symbols(home, config.max_sequence_length, context),
        passes=PASSES,
        seed=0,
    )


def _theirs(name: str) -> str:
    """LLaDA's name of one of Llama's weights."""
    return "model.transformer." + _OURS.sub(lambda found: _NAMES[found[0]], name.removeprefix("model."))


def _every_heads(home: Path, config: _Config) -> Iterator[tuple[str, Tensor]]:
    """The weights, keys and values that heads share repeated for each of them."""
    shared = config.n_kv_heads or config.n_heads
    for name, weight in weights(home):
        if shared < config.n_heads and name.endswith(("k_proj.weight", "v_proj.weight")):
            own = weight.unflatten(0, (shared, -1)).repeat_interleave(config.n_heads // shared, 0)
            yield name, own.flatten(0, 1)
        else:
            yield name, weight
