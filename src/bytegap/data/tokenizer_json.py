"""What a `tokenizer.json` of the Hugging Face `tokenizers` library says of its tokens, read without that library."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bytegap.errors import TokenizerError
from bytegap.schema.json import Json, JsonObject, as_object

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def read_tokenizer_json(path: Path, name: str) -> JsonObject:
    """The JSON object in the file, called `name` in messages; TokenizerError if it has no vocabulary."""
    try:
        table = as_object(json.loads(path.read_bytes()))
        unknown_tokens(table, ids_of_file(table))
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise TokenizerError(f"{name} is not a tokenizer.json ({error}): name one with a model and its vocab") from None
    return table


def without_additions(table: JsonObject) -> JsonObject:
    """The same vocabulary and merges, adding nothing to the text."""
    for step in _steps(without_template(table)):
        if step["type"] == "ByteLevel":
            step["add_prefix_space"] = False
        elif step["type"] == "Metaspace":
            step.pop("add_prefix_space", None)
            step["prepend_scheme"] = "never"
        elif step["type"] == "Prepend":
            step["prepend"] = ""
    return table


def without_template(table: JsonObject) -> JsonObject:
    """The same tokenizer without special tokens around a text, truncation, padding and dropout."""
    table |= {"truncation": None, "padding": None, "post_processor": None}
    as_object(table["model"])["dropout"] = None
    return table


def written_tokens(table: JsonObject) -> dict[str, int]:
    """The id of every token as the vocabulary writes it, added tokens included."""
    vocab = as_object(table["model"]).get("vocab")
    if isinstance(vocab, list):  # a unigram model lists pieces with their scores
        ids = {_piece(entry): i for i, entry in enumerate(vocab)}
    else:
        ids = {token: _id(i) for token, i in as_object(vocab).items()}
    return ids | {content: i for i, (content, _) in added_tokens(table).items()}


def added_tokens(table: JsonObject) -> dict[int, tuple[str, bool]]:
    """Id -> the text of an added token, and whether it is special."""
    added = table.get("added_tokens") or []
    if not isinstance(added, list):
        raise TypeError("'added_tokens' is not a list")
    tokens = map(as_object, added)
    return {_id(token["id"]): (str(token["content"]), bool(token.get("special", False))) for token in tokens}


@dataclass(frozen=True)
class TokenIds:
    """Which id each token has: as the file says, or as the library gives out ids, which closes gaps in the file's."""

    written: dict[str, int]
    """Each token as the vocabulary writes it, added tokens included."""
    added: frozenset[int]
    """Ids of added tokens."""
    special: frozenset[int]
    """Of those, the ones that stand for no text."""


def ids_of_file(table: JsonObject) -> TokenIds:
    """The ids as the file says."""
    added = added_tokens(table)
    return TokenIds(
        written_tokens(table), frozenset(added), frozenset(i for i, (_, special) in added.items() if special)
    )


def unknown_tokens(table: JsonObject, ids: TokenIds) -> set[int]:
    """The id that stands for what the vocabulary has no token for; empty without one."""
    model = as_object(table["model"])
    named, numbered = model.get("unk_token"), model.get("unk_id")
    found = {i for token, i in ids.written.items() if token == named}
    return found | ({_id(numbered)} if numbered is not None else set())


def token_bytes(table: JsonObject, ids: TokenIds) -> list[bytes]:
    """The bytes of every id, from the token itself by the rule that the vocabulary was written with.

    Special tokens and the unknown token stand for no text, as do ids that no token has.
    """
    types = [step["type"] for key in ("pre_tokenizer", "decoder") for step in _steps(table.get(key))]
    fallback, unknown = as_object(table["model"]).get("byte_fallback", False), unknown_tokens(table, ids)
    to_byte = byte_level_alphabet()
    result = [b""] * (1 + max(ids.written.values(), default=-1))
    for token, i in ids.written.items():
        if i in ids.special or i in unknown:
            continue
        if i in ids.added:
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


def _steps(value: Json) -> Iterator[JsonObject]:
    """Every object with a type in a pipeline, nested ones included."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        value = [inner for key, inner in value.items() if key not in {"vocab", "merges"}]
    if isinstance(value, list):
        for inner in value:
            yield from _steps(inner)


def _piece(entry: Json) -> str:
    if not (isinstance(entry, list) and entry and isinstance(entry[0], str)):
        raise TypeError(f"{entry!r:.40} is not a piece with its score")
    return entry[0]


MOST_IDS = 1 << 24
"""More ids than any vocabulary has; a larger id is a damaged file's."""


def _id(value: Json) -> int:
    if not isinstance(value, int) or not 0 <= value < MOST_IDS:
        raise TypeError(f"{value!r:.40} is not the id of a token")
    return value
