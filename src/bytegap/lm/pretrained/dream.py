"""Dream (Ye et al. 2025, arXiv 2508.15487): masked diffusion with a bidirectional Qwen2, begun from an AR model.

It keeps that model's shift: the logits at a position are those of the token after it.
It was trained with mask probability t and weight 1 / t, its token-level weights aside, so that its bound is that of the
objective `mdm`, whatever weights it was trained with.
"""

from pathlib import Path
from typing import Literal

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import JsonObject, parse_config
from bytegap.lm.pretrained.masked_llama import LlamaFields, LlamaOptions, load_masked_llama


class _Config(LlamaFields):
    """The choices that make it this network."""

    intermediate_size: int
    use_sliding_window: Literal[False] | None = None


def load(folder: Path, config: JsonObject, context: int | None) -> LanguageModel:
    """The model in `folder`, on the CPU; ModelError where config.json describes another network."""
    fields = parse_config(folder, _Config, config)
    options = LlamaOptions(d_ff=fields.intermediate_size, has_qkv_bias=True, is_shifted=True)
    return load_masked_llama(folder, config, fields, options, context)
