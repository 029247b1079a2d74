"""A given `tokenizer.json` of the Hugging Face `tokenizers` library; a copy is kept with the study.

What would add to the text or drop from it is switched off: the leading space, template and special tokens, truncation,
padding, BPE dropout.
A normalizer stays: `lossless` finds what it alters.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import tokenizers
from pydantic.dataclasses import dataclass

from bytegap.data.given_vocab import GivenVocabulary
from bytegap.data.lossless import Lossless
from bytegap.errors import TokenizerError
from bytegap.schema.json import Json, JsonObject, as_object

KEPT = "tokenizer.json"

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class HuggingFace(GivenVocabulary):
    """A tokenizer of Hugging Face `tokenizers`; the file is a `tokenizer.json`."""

    kept: ClassVar[str] = KEPT

    @staticmethod
    def read(path: Path, name: str) -> Lossless:
        """The `tokenizer.json` at `path`, called `name` in messages; TokenizerError if it is not one."""
        return load_tokenizer_json(path, name)

    @classmethod
    def tokenizer_json(cls, folder: Path) -> dict[str, object]:
        """The kept `tokenizer.json`, adding nothing to the text."""
        return kept_tokenizer_json(folder)


def load_tokenizer_json(path: Path, name: str = "") -> Lossless:
    """The `tokenizer.json` at `path`, called `name` in messages; TokenizerError if it is not one."""
    name = name or str(path)
    try:
        table = as_object(json.loads(path.read_bytes()))
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(_without_additions(table)))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception
        raise TokenizerError(f"{name} is not a tokenizer.json that 'tokenizers' can read: {error}") from None
    tokenizer.encode_special_tokens = True  # special tokens written out in a text are text

    def segment(texts: list[str]) -> list[list[int]]:
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    return Lossless(name, _token_bytes(table, tokenizer), segment)


def kept_tokenizer_json(folder: Path) -> dict[str, object]:
    """The `tokenizer.json` that segments text as the kept one does here; ids are those of the tokens."""
    return dict(_without_additions(as_object(json.loads((folder / KEPT).read_bytes()))))


def _without_additions(table: JsonObject) -> JsonObject:
    """The same vocabulary and merges, adding nothing to the text."""
    table |= {"truncation": None, "padding": None, "post_processor": None}
    as_object(table["model"])["dropout"] = None
    for step in _steps(table):
        if step["type"] == "ByteLevel":
            step["add_prefix_space"] = False
        elif step["type"] == "Metaspace":
            step.pop("add_prefix_space", None)
            step["prepend_scheme"] = "never"
        elif step["type"] == "Prepend":
            step["prepend"] = ""
    return table


def _steps(value: Json) -> Iterator[JsonObject]:
    """Every object with a type in a pipeline, nested ones included."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        value = [inner for key, inner in value.items() if key not in {"vocab", "merges"}]
    if isinstance(value, list):
        for inner in value:
            yield from _steps(inner)


def _token_bytes(table: JsonObject, tokenizer: tokenizers.Tokenizer) -> list[bytes]:
    """The bytes of every id, from the token itself by the rule that the vocabulary was written with."""
    types = [step["type"] for key in ("pre_tokenizer", "decoder") for step in _steps(table[key])]
    model = as_object(table["model"])
    fallback, unknown = model.get("byte_fallback", False), model.get("unk_token")
    added = tokenizer.get_added_tokens_decoder()
    silent = {i for i, token in added.items() if token.special}
    to_byte = byte_level_alphabet()
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    result = [b""] * (1 + max(vocabulary.values()))
    for token, i in vocabulary.items():
        if i in silent or token == unknown:
            continue
        if i in added:
            result[i] = token.encode()
        elif "ByteLevel" in types:
            result[i] = bytes(to_byte[letter] for letter in token if letter in to_byte)
        elif fallback and (byte := _BYTE_PIECE.fullmatch(token)):
            result[i] = bytes.fromhex(byte[1])
        else:
            result[i] = token.replace("\u2581", " ").encode()
    return result


def byte_level_alphabet() -> dict[str, int]:
    """GPT-2's letters for bytes: printable Latin-1 stands for itself, the rest for U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(0x100 + i): byte for i, byte in enumerate(rest)}
