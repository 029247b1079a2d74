"""Models named in JSON: a Hugging Face `config.json`, or a list of shapes of our own Transformer. No torch."""

import json
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from bytegap.accounting.llama import Llama
from bytegap.errors import CountError, nearest
from bytegap.models import _ladder

M = TypeVar("M", bound=BaseModel)
LONGEST_DEFAULT = 2048
"""Context counted where none is asked for, unless the model's own is shorter."""
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")


class Config(BaseModel):
    """What both counts need of a `config.json`; its many other keys do not bear on them."""

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
    """Qwen's switch; Mistral has the window alone."""


class Shape(BaseModel):
    """One of a list of shapes: `heads` and `hidden` are the ladder's where they are not given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: PositiveInt
    depth: PositiveInt
    heads: PositiveInt | None = None
    hidden: PositiveInt | None = None
    vocabulary: PositiveInt
    """Ids: rows of the embedding and of the head."""
    context: PositiveInt
    """Symbols a row."""


def read(path: Path, context: int | None) -> list[tuple[str, Llama, int]]:
    """(name, model, symbols a row) of each model in the file; CountError says what is wrong and where."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{path}: no such file: name a study (.toml), a model's config.json or a JSON list of shapes"
        raise CountError(message) from None
    except IsADirectoryError:
        message = f"{path} is a folder: name the config.json in it"
        raise CountError(message) from None
    except (ValueError, RecursionError) as error:
        message = f"{path}: not JSON: {error}"
        raise CountError(message) from None
    if isinstance(given, dict):
        return [_of_config(path, cast("dict[str, Any]", given), context)]
    if isinstance(given, list) and given:
        return [_of_shape(f"{path}, shape {n}", each, context) for n, each in enumerate(cast("list[Any]", given), 1)]
    message = f"{path}: neither a model's config (a JSON object) nor a list of shapes: see 'bytegap count --help'"
    raise CountError(message)


def _of_config(path: Path, given: dict[str, Any], context: int | None) -> tuple[str, Llama, int]:
    kind = given.get("model_type")
    if kind not in ARCHITECTURES:
        message = f"{path}: model_type is {kind!r}, which is not counted: {nearest(str(kind), ARCHITECTURES)}"
        raise CountError(message)
    config = _checked(str(path), Config, given)
    # Older Llama configurations have no such key; in the others its absence means some other number.
    if config.num_key_value_heads is None and kind != "llama":
        message = f"{path}: 'num_key_value_heads' is missing: add it"
        raise CountError(message)
    shared = config.num_key_value_heads or config.num_attention_heads
    if config.num_attention_heads % shared:
        message = (
            f"{path}: 'num_attention_heads' {config.num_attention_heads} is no multiple of 'num_key_value_heads' "
            f"{shared}: mend one of them"
        )
        raise CountError(message)
    if config.head_dim is None and config.hidden_size % config.num_attention_heads:
        message = f"{path}: 'hidden_size' is no multiple of 'num_attention_heads': mend one of them or add 'head_dim'"
        raise CountError(message)
    biased = kind == "qwen2" or (config.attention_bias and kind != "mistral")
    model = Llama(
        width=config.hidden_size,
        depth=config.num_hidden_layers,
        heads=config.num_attention_heads,
        hidden=config.intermediate_size,
        vocabulary=config.vocab_size,
        key_value_heads=shared,
        head_width=config.head_dim,
        tied=config.tie_word_embeddings,
        query_key_value_biases=biased,
        output_bias=biased and kind != "qwen2",
        mlp_biases=config.mlp_bias and kind == "llama",
        query_key_norms=kind == "qwen3",
    )
    return (path.stem if path.stem != "config" else path.resolve().parent.name), model, _context(path, config, context)


def _context(path: Path, config: Config, asked: int | None) -> int:
    """Symbols a row: as asked, else the model's own up to LONGEST_DEFAULT."""
    own = config.max_position_embeddings
    if asked is None and own is None:
        message = f"{path}: 'max_position_embeddings' is missing: say --context SYMBOLS"
        raise CountError(message)
    symbols = asked or min(own or LONGEST_DEFAULT, LONGEST_DEFAULT)
    window = config.sliding_window if config.use_sliding_window else None
    if window and symbols >= window:
        message = (
            f"{path}: 'sliding_window' is {window}, and maps cut to a window are not counted: say a --context below it"
        )
        raise CountError(message)
    return symbols


def _of_shape(where: str, given: Any, context: int | None) -> tuple[str, Llama, int]:
    shape = _checked(where, Shape, given)
    heads = shape.heads or _ladder.heads(shape.width, shape.depth)
    if shape.width % heads:
        message = f"{where}: 'width' {shape.width} is no multiple of 'heads' {heads}: mend one of them"
        raise CountError(message)
    model = Llama(
        width=shape.width,
        depth=shape.depth,
        heads=heads,
        hidden=shape.hidden or _ladder.hidden(shape.width),
        vocabulary=shape.vocabulary,
    )
    return f"{shape.width} x {shape.depth}, V {shape.vocabulary}", model, context or shape.context


def _checked(where: str, model: type[M], given: Any) -> M:
    """`given` as a `model`; a CountError names the first key that is wrong."""
    try:
        return model.model_validate(given, strict=True)
    except ValidationError as error:
        errors = error.errors()
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            message = f"{where}: unknown key '{key}': {nearest(key, model.model_fields)}"
        elif first["type"] == "missing":
            message = f"{where}: '{key}' is missing: add it"
        elif key:
            message = f"{where}: '{key}': {first['msg']}, not {first['input']!r}"
        else:
            message = f'{where}: a JSON object is wanted, such as {{"width": 64, "depth": 2, ...}}'
        raise CountError(message) from None
