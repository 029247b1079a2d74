"""A given `tokenizer.json` of the Hugging Face `tokenizers` library; a copy is kept with the study.

What would add to the text or drop from it is switched off: the leading space, template and special tokens, truncation,
padding, BPE dropout.
A normalizer stays: `lossless` finds what it alters.
"""

import json
from functools import partial
from pathlib import Path
from typing import ClassVar

import tokenizers
from pydantic.dataclasses import dataclass

from bytegap.data.given_vocab import GivenVocabulary
from bytegap.data.lossless import Lossless, Segment
from bytegap.data.tokenizer_json import TokenIds, read_tokenizer_json, token_bytes, without_additions, without_template
from bytegap.errors import TokenizerError
from bytegap.schema.json import JsonObject

KEPT = "tokenizer.json"


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
    table = read_tokenizer_json(path, name)
    tokenizer = _tokenizer(without_additions(table), name)
    tokenizer.encode_special_tokens = True  # special tokens written out in a text are text
    return Lossless(name, token_bytes(table, _ids(tokenizer)), partial(_segment, tokenizer))


def ids_of_library(table: JsonObject, name: str) -> TokenIds:
    """The ids as the library gives them out, which closes gaps between those of added tokens in the file."""
    return _ids(_tokenizer(table, name))


def as_written(path: Path, name: str) -> tuple[Segment, Segment]:
    """How the file segments texts and what follows a cut in one, without special tokens around them."""
    table = read_tokenizer_json(path, name)
    from_start = _tokenizer(without_template(table), name)
    after_cut = _tokenizer(without_additions(table), name)
    return partial(_segment, from_start), partial(_segment, after_cut)


def template_tokens(path: Path, name: str) -> list[int]:
    """Ids that the file puts around every text by itself."""
    table = read_tokenizer_json(path, name)
    return _tokenizer(table | {"truncation": None, "padding": None}, name).encode("").ids


def _tokenizer(table: JsonObject, name: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(table))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception
        raise TokenizerError(f"{name} is not a tokenizer.json that 'tokenizers' can read: {error}") from None


def _ids(tokenizer: tokenizers.Tokenizer) -> TokenIds:
    added = tokenizer.get_added_tokens_decoder()
    special = frozenset(i for i, token in added.items() if token.special)
    return TokenIds(tokenizer.get_vocab(with_added_tokens=True), frozenset(added), special)


def _segment(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def kept_tokenizer_json(folder: Path) -> dict[str, object]:
    """The `tokenizer.json` that segments text as the kept one does here; ids are those of the tokens."""
    return dict(without_additions(read_tokenizer_json(folder / KEPT, str(folder / KEPT))))
