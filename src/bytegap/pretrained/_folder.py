"""What every family of models needs of a folder: its config, its weights one at a time, the length of a row."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bytegap.errors import ModelError

_LONGEST_DEFAULT = 2048


def read_config(home: Path) -> dict[str, Any]:
    """config.json; ModelError where there is none to read."""
    path = home / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        what = "no such folder" if not home.is_dir() else "it holds no config.json"
        message = f"{home}: {what}: name a model's folder, with its config.json, safetensors and tokenizer.json"
        raise ModelError(message) from None
    except (ValueError, RecursionError) as error:
        message = f"{path} is not JSON ({error}): fetch or export the model again"
        raise ModelError(message) from None
    if not isinstance(config, dict):
        message = f"{path} is not a JSON object: fetch or export the model again"
        raise ModelError(message)
    return config


def row_symbols(home: Path, positions: int, context: int | None, own: int | None = None) -> int:
    """S: `context`, else the model's `own`, else what its positions hold after BOS; ModelError if they do not."""
    if context is not None and not 0 < context < positions:
        message = f"{home}: a context of {context} symbols: its {positions} positions hold BOS and 1 to {positions - 1}"
        raise ModelError(message)
    return context or own or min(positions - 1, _LONGEST_DEFAULT)


@torch.no_grad()
def fill(home: Path, places: Mapping[str, Tensor], weights: Iterable[tuple[str, Tensor]]) -> None:
    """Copy each weight to its place, in the place's type; ModelError names one that is missing, or does not fit."""
    filled: set[str] = set()
    for name, weight in weights:
        if name not in places:
            message = (
                f"{home}: its weights hold '{name}', which its config.json does not speak of: one is not the other's"
            )
            raise ModelError(message)
        if weight.shape != places[name].shape:
            message = (
                f"{home}: '{name}' is {tuple(weight.shape)}, where its config.json makes it "
                f"{tuple(places[name].shape)}: one is not the other's"
            )
            raise ModelError(message)
        places[name].copy_(weight)
        filled.add(name)
    if missing := sorted(places.keys() - filled):
        message = f"{home}: its weights lack '{missing[0]}' ({len(missing)} in all): fetch or export the model again"
        raise ModelError(message)
