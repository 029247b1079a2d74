"""What every family of models needs of a folder: its config, weights one at a time, symbols, the length of a row."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bytegap import plugins
from bytegap.errors import ModelError
from bytegap.objectives._base import Vocabulary
from bytegap.symbols import Tokenizer

M = TypeVar("M", bound=BaseModel)

LONGEST_DEFAULT = 2048
"""Symbols of a row where nobody says, unless the model's own are fewer."""
PASSES = 8
"""Of a likelihood estimate: as many as a study takes."""


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


def checked(home: Path, model: type[M], given: Any) -> M:
    """Keys of config.json as a `model`; a ModelError names the first that is wrong."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{home / 'config.json'}: '{'.'.join(map(str, first['loc']))}': {first['msg']}: it cannot be loaded"
        raise ModelError(message) from None


def row_symbols(home: Path, positions: int, context: int | None, own: int | None = None) -> int:
    """S: `context`, else the model's `own`, else what its positions hold after BOS; ModelError if they do not."""
    if context is not None and not 0 < context < positions:
        message = f"{home}: a context of {context} symbols: its {positions} positions hold BOS and 1 to {positions - 1}"
        raise ModelError(message)
    return context or own or min(positions - 1, LONGEST_DEFAULT)


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


def weight_files(home: Path) -> list[Path]:
    """The safetensors of a folder; ModelError where there are none."""
    index = home / "model.safetensors.index.json"
    if index.is_file():
        names = set(json.loads(index.read_bytes())["weight_map"].values())
        return [home / name for name in sorted(names)]
    if (home / "model.safetensors").is_file():
        return [home / "model.safetensors"]
    pickled = any(path.suffix in {".bin", ".pt", ".pth", ".ckpt"} for path in home.iterdir())
    what = "only pickled weights, which are not read: convert them to" if pickled else "no weights: fetch its"
    message = f"{home} holds {what} model.safetensors"
    raise ModelError(message)


def weights(home: Path) -> Iterator[tuple[str, Tensor]]:
    """Every weight by its name, one in memory at a time; ModelError where a file is missing or damaged."""
    for path in weight_files(home):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    yield name, file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            message = f"{path} is missing or damaged ({error}): fetch the model again"
            raise ModelError(message) from None


@dataclass(frozen=True)
class Given(Vocabulary):
    """Ids as another's files give them: its special symbols are where they are, most of them among its V."""

    rows: int
    special: tuple[int, int, int]
    """EOS, BOS, and MASK, or -1 of a model that has none."""

    @property
    def eos(self) -> int:
        """Ends a document; scored, zero bytes."""
        return self.special[0]

    @property
    def bos(self) -> int:
        """Starts every window; given, never scored."""
        return self.special[1]

    @property
    def mask(self) -> int:
        """Stands where a symbol is hidden."""
        return self.special[2]

    @property
    def ids(self) -> int:
        """Rows of the head."""
        return self.rows


def symbols_of(home: Path, config: Mapping[str, Any], rows: int, mask: int = -1) -> tuple[Tokenizer, Given]:
    """The folder's tokenizer and the ids of a model whose head has so many rows.

    EOS and BOS are those of config.json, else of tokenizer_config.json; a single special token is EOS; a model without
    BOS is given its EOS instead, which is what came before a document in its training. ModelError where there is no
    tokenizer, no EOS, or an id is beyond the head.
    """
    if (home / "tokenizer.json").is_file():
        tokenizer: Tokenizer = plugins.load("tokens", "huggingface").reopen(home)
    elif (home / "tokenizer.model").is_file():
        tokenizer = plugins.load("tokens", "sentencepiece").reopen(home)
    else:
        message = f"{home} holds no tokenizer.json and no tokenizer.model: put the one it was trained with there"
        raise ModelError(message)
    added = _json(home / "tokenizer.json").get("added_tokens", [])
    named = {token["content"]: token["id"] for token in added}
    special = [token["id"] for token in added if token["special"]]
    words = _json(home / "tokenizer_config.json")

    def found(part: str) -> int | None:
        i = config.get(f"{part}_token_id")
        if isinstance(i, list):  # of a chat model: the first ends a text
            i = i[0]
        word = words.get(f"{part}_token")
        return i if i is not None else named.get(word["content"] if isinstance(word, dict) else word)

    eos = found("eos")
    if eos is None and len(special) == 1:
        [eos] = special
    if eos is None:
        message = f"{home / 'config.json'} names no EOS: add 'eos_token_id', the symbol that ended its documents"
        raise ModelError(message)
    bos = found("bos")
    vocabulary = Given(len(tokenizer.symbol_bytes), rows, (eos, eos if bos is None else bos, mask))
    if (most := max(vocabulary.symbols - 1, *vocabulary.special)) >= rows:
        message = (
            f"{home}: ids go up to {most} in its tokenizer and config, to {rows - 1} in its head: use its own tokenizer"
        )
        raise ModelError(message)
    return tokenizer, vocabulary


def _json(path: Path) -> dict[str, Any]:
    """What a file holds, nothing where there is none."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        message = f"{path} is not JSON ({error}): fetch the model again"
        raise ModelError(message) from None
