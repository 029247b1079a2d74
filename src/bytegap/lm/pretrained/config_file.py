"""config.json of a model's folder: read, checked against the fields of a family, and the sequence length it allows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from bytegap.errors import ModelError, sentence

JsonObject = Mapping[str, object]

MAX_DEFAULT_SEQ_LEN = 2048
"""Tokens of a sequence where neither the user nor the export says; fewer if the model's positions hold fewer."""


class ConfigFields(BaseModel):
    """Some keys of a JSON file that another program wrote; other keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


MASKED_FAMILIES = ("dream", "llada", "llada_moe", "mdlm")
"""Values of `model_type`, in lower case, of the masked diffusion models that can be loaded."""

M = TypeVar("M", bound=BaseModel)


def read_config(folder: Path) -> JsonObject:
    """config.json; ModelError where there is none, or it is not a JSON object."""
    path = folder / "config.json"
    try:
        config: object = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        what = "no such folder" if not folder.is_dir() else "it holds no config.json"
        raise ModelError(
            f"{folder}: {what}: name a model's folder, with its config.json, safetensors and tokenizer.json"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON ({error}): fetch or export the model again") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a JSON object: fetch or export the model again")
    return cast("JsonObject", config)


def parse_config(folder: Path, fields: type[M], config: object) -> M:
    """Keys of config.json as `fields`; ModelError names the first that is wrong."""
    try:
        return fields.model_validate(config)
    except ValidationError as error:
        raise ModelError(
            f"{folder / 'config.json'}: {sentence(error, fields)}: bytegap cannot load such a model"
        ) from None


def sequence_length(folder: Path, max_positions: int, context: int | None, default: int | None = None) -> int:
    """S: `context`, else `default`, else what the model's positions hold after BOS; ModelError if they cannot hold it.

    `max_positions` counts BOS.
    """
    if context is not None and not 0 < context < max_positions:
        raise ModelError(
            f"{folder}: a context of {context} tokens: its {max_positions} positions hold BOS and 1 to "
            f"{max_positions - 1} tokens"
        )
    return context or default or min(max_positions - 1, MAX_DEFAULT_SEQ_LEN)
