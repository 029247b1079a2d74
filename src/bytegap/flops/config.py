"""Reads models from JSON: a Hugging Face `config.json`, or a list of shapes of bytegap's own Transformer. No torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from bytegap.cost import sizes
from bytegap.cost.llama import Llama
from bytegap.errors import FlopsError, nearest, sentence
from bytegap.schema.base import FrozenModel

M = TypeVar("M", bound=BaseModel)
MAX_DEFAULT_CONTEXT = 2048
"""Sequence length counted by default, unless the model's own maximum is shorter."""
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
_RENAMED_KEYS = {
    "width": "d_model",
    "depth": "n_layers",
    "heads": "n_heads",
    "hidden": "d_ff",
    "vocabulary": "vocab_size",
}


@dataclass(frozen=True)
class NamedModel:
    """A model to count."""

    name: str
    model: Llama
    seq_len: int
    """S, tokens of a training sequence."""


class HfConfig(BaseModel):
    """The keys of a `config.json` that parameters and FLOPs depend on; other keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["llama", "mistral", "qwen2", "qwen3"]
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt | None = None
    head_dim: PositiveInt | None = None
    vocab_size: PositiveInt
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    max_position_embeddings: PositiveInt | None = None
    sliding_window: PositiveInt | None = None
    use_sliding_window: bool = True
    """Qwen's switch; Mistral has `sliding_window` alone."""


class Shape(FrozenModel):
    """One of a list of shapes; `n_heads` and `d_ff` follow from `d_model` where they are left out."""

    d_model: PositiveInt
    n_layers: PositiveInt
    n_heads: PositiveInt | None = None
    d_ff: PositiveInt | None = None
    vocab_size: PositiveInt
    """Rows of the embedding and of the head."""
    context: PositiveInt
    """S, tokens of a training sequence."""


def read_models(path: Path, context: int | None) -> list[NamedModel]:
    """The models in a file, with `context` as their sequence length if given; FlopsError where the file is wrong."""
    try:
        given: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlopsError(
            f"{path}: no such file: name a study (.toml), a model's config.json or a JSON list of shapes"
        ) from None
    except IsADirectoryError:
        raise FlopsError(f"{path} is a folder: name the config.json in it") from None
    except (ValueError, RecursionError) as error:
        raise FlopsError(f"{path} is not valid JSON: {error}") from None
    if isinstance(given, dict):
        return [_from_config(path, cast("dict[str, object]", given), context)]
    if isinstance(given, list) and given:
        shapes = cast("list[object]", given)
        return [_from_shape(f"{path}, shape {number}", each, context) for number, each in enumerate(shapes, 1)]
    raise FlopsError(
        f"{path}: neither a model's config (a JSON object) nor a list of shapes: see 'bytegap flops --help'"
    )


def _from_config(path: Path, given: Mapping[str, object], context: int | None) -> NamedModel:
    kind = given.get("model_type")
    if kind not in ARCHITECTURES:
        raise FlopsError(f"{path}: model_type is {kind!r}, which is not supported: {nearest(str(kind), ARCHITECTURES)}")
    config = _validated(str(path), HfConfig, given)
    # Older Llama configurations have no such key; for the other architectures the default is some other number.
    if config.num_key_value_heads is None and kind != "llama":
        raise FlopsError(f"{path}: 'num_key_value_heads' is missing: add it")
    key_value_heads = config.num_key_value_heads or config.num_attention_heads
    if config.num_attention_heads % key_value_heads:
        raise FlopsError(
            f"{path}: 'num_attention_heads' {config.num_attention_heads} is not a multiple of 'num_key_value_heads' "
            f"{key_value_heads}: correct one of them"
        )
    if config.head_dim is None and config.hidden_size % config.num_attention_heads:
        raise FlopsError(
            f"{path}: 'hidden_size' is not a multiple of 'num_attention_heads': correct one of them or add 'head_dim'"
        )
    has_biases = kind == "qwen2" or (config.attention_bias and kind != "mistral")
    model = Llama(
        d_model=config.hidden_size,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        d_ff=config.intermediate_size,
        vocab_size=config.vocab_size,
        key_value_heads=key_value_heads,
        head_width=config.head_dim,
        tied=config.tie_word_embeddings,
        query_key_value_biases=has_biases,
        output_bias=has_biases and kind != "qwen2",
        mlp_biases=config.mlp_bias and kind == "llama",
        query_key_norms=kind == "qwen3",
    )
    name = path.stem if path.stem != "config" else path.resolve().parent.name
    return NamedModel(name, model, _seq_len(path, config, context))


def _seq_len(path: Path, config: HfConfig, context: int | None) -> int:
    """`context` if given, else the model's own maximum up to MAX_DEFAULT_CONTEXT."""
    own = config.max_position_embeddings
    if context is None and own is None:
        raise FlopsError(f"{path}: 'max_position_embeddings' is missing: give --context TOKENS")
    seq_len = context or min(own or MAX_DEFAULT_CONTEXT, MAX_DEFAULT_CONTEXT)
    window = config.sliding_window if config.use_sliding_window else None
    if window and seq_len >= window:
        raise FlopsError(
            f"{path}: 'sliding_window' is {window}, and sliding-window attention is not supported: give a --context "
            "shorter than it"
        )
    return seq_len


def _from_shape(where: str, given: object, context: int | None) -> NamedModel:
    _check_renamed(where, given)
    shape = _validated(where, Shape, given)
    n_heads = shape.n_heads or sizes.n_heads(shape.d_model, shape.n_layers)
    if shape.d_model % n_heads:
        raise FlopsError(
            f"{where}: 'd_model' {shape.d_model} is not a multiple of 'n_heads' {n_heads}: correct one of them"
        )
    model = Llama(
        d_model=shape.d_model,
        n_layers=shape.n_layers,
        n_heads=n_heads,
        d_ff=shape.d_ff or sizes.d_ff(shape.d_model),
        vocab_size=shape.vocab_size,
    )
    name = f"{shape.d_model} x {shape.n_layers}, V {shape.vocab_size}"
    return NamedModel(name, model, context or shape.context)


def _check_renamed(where: str, given: object) -> None:
    """FlopsError for a key under an earlier name."""
    for old, new in _RENAMED_KEYS.items():
        if isinstance(given, dict) and old in given:
            raise FlopsError(f"{where}: '{old}' is now called '{new}': rename it")


def _validated(where: str, model: type[M], given: object) -> M:
    """`given` as a `model`; FlopsError for the first key that is wrong."""
    try:
        return model.model_validate(given, strict=True)
    except ValidationError as error:
        if not isinstance(given, dict):
            example = '{"d_model": 64, "n_layers": 2, ...}'
            raise FlopsError(f"{where}: expected a JSON object, such as {example}") from None
        raise FlopsError(f"{where}: {sentence(error, model)}") from None
