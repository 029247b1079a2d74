"""A given `tokenizer.json` of the Hugging Face `tokenizers` library; a copy is kept with the study.

What would add to the text or drop from it is switched off: the leading space, template and special tokens, truncation,
padding, BPE dropout. A normaliser stays: `lossless` finds out what it alters.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tokenizers

from bytegap import plugins
from bytegap.errors import TokensError
from bytegap.store import file_digest
from bytegap.tokens.lossless import Lossless, given_file

KEPT = "tokenizer.json"

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Options(plugins.Options):
    """The vocabulary."""

    file: str
    """A `tokenizer.json`."""


def fingerprint(options: Options) -> str:
    """SHA-256 of the file."""
    return file_digest(given_file(options.file))


def prepare(options: Options, training_documents: Iterable[bytes], folder: Path) -> Lossless:  # noqa: ARG001
    """Keep a copy of the vocabulary; nothing is learned from the text."""
    shutil.copyfile(given_file(options.file), folder / KEPT)
    return read(folder / KEPT, options.file)


def reopen(folder: Path) -> Lossless:
    """The copy that `prepare` kept."""
    return read(folder / KEPT, str(folder / KEPT))


def read(path: Path, vocabulary: str) -> Lossless:
    """The `tokenizer.json` at `path`, called `vocabulary` in messages; TokensError if it is not one."""
    try:
        table = json.loads(path.read_bytes())
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(_plain(table)))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception
        message = f"{vocabulary} is not a tokenizer.json that 'tokenizers' can read: {error}"
        raise TokensError(message) from None
    tokenizer.encode_special_tokens = True  # their literals in a text are text

    def segment(texts: list[str]) -> list[list[int]]:
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    return Lossless(vocabulary, _symbol_bytes(table, tokenizer), segment)


def tokenizer_json(folder: Path) -> dict[str, Any]:
    """The `tokenizer.json` that cuts text as the kept one does here; ids are those of the symbols."""
    return _plain(json.loads((folder / KEPT).read_bytes()))


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    """The same vocabulary and merges, adding nothing to the text."""
    table |= {"truncation": None, "padding": None, "post_processor": None}
    table["model"]["dropout"] = None
    for part in _parts(table):
        if part["type"] == "ByteLevel":
            part["add_prefix_space"] = False
        elif part["type"] == "Metaspace":
            part.pop("add_prefix_space", None)
            part["prepend_scheme"] = "never"
        elif part["type"] == "Prepend":
            part |= {"prepend": ""}
    return table


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every table of a pipeline that says its type."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        value = [inner for key, inner in value.items() if key not in {"vocab", "merges"}]
    if isinstance(value, list):
        for inner in value:
            yield from _parts(inner)


def _symbol_bytes(table: dict[str, Any], tokenizer: tokenizers.Tokenizer) -> list[bytes]:
    """The bytes of every id, from the token itself by the rule that the vocabulary was written with."""
    types = {part["type"] for key in ("pre_tokenizer", "decoder") for part in _parts(table[key])}
    fallback = table["model"].get("byte_fallback", False)
    added = tokenizer.get_added_tokens_decoder()
    silent = {i for i, token in added.items() if token.special}
    unknown = table["model"].get("unk_token")
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
