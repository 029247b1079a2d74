"""A given `.tiktoken` vocabulary (base64 bytes and rank a line); a copy is kept with the study. No special tokens."""

import base64
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from unittest import mock

import tiktoken
from tiktoken_ext import openai_public

from bytegap import plugins
from bytegap.errors import TokensError
from bytegap.store import file_digest
from bytegap.tokens.lossless import Lossless, given_file

_KEPT, _PATTERN = "vocabulary.tiktoken", "pattern"

# Published vocabularies by their size.
_PUBLISHED = {50_256: "r50k", 100_256: "cl100k", 199_998: "o200k"}


class Options(plugins.Options):
    """The vocabulary and its words."""

    file: str
    """A `.tiktoken` file."""
    pattern: Literal["r50k", "cl100k", "o200k"] | None = None
    """How text is cut into words; known of the published vocabularies from their size."""


def fingerprint(options: Options) -> str:
    """SHA-256 of the file."""
    return file_digest(given_file(options.file))


def prepare(options: Options, training_documents: Iterable[bytes], folder: Path) -> Lossless:  # noqa: ARG001
    """Keep a copy of the vocabulary and the name of its words; nothing is learned from the text."""
    shutil.copyfile(given_file(options.file), folder / _KEPT)
    ranks = _ranks(folder / _KEPT, options.file)
    pattern = options.pattern or _PUBLISHED.get(len(ranks))
    if pattern is None:
        message = (
            f"{options.file} has {len(ranks):,} symbols, as no published vocabulary: "
            f"set pattern to one of {', '.join(_PUBLISHED.values())}"
        )
        raise TokensError(message)
    (folder / _PATTERN).write_text(pattern, encoding="utf-8")
    return _made(ranks, pattern, options.file)


def reopen(folder: Path) -> Lossless:
    """The copy that `prepare` kept."""
    path = folder / _KEPT
    return _made(_ranks(path, str(path)), (folder / _PATTERN).read_text(encoding="utf-8"), str(path))


def _made(ranks: dict[bytes, int], pattern: str, vocabulary: str) -> Lossless:
    encoding = tiktoken.Encoding(vocabulary, pat_str=_words(pattern), mergeable_ranks=ranks, special_tokens={})
    symbol_bytes = [b""] * (1 + max(ranks.values()))
    for piece, rank in ranks.items():
        symbol_bytes[rank] = piece
    return Lossless(vocabulary, symbol_bytes, encoding.encode_ordinary_batch)


def _words(name: str) -> str:
    """The regular expression with which a published vocabulary cuts text into words, as tiktoken itself has it."""
    with mock.patch.object(openai_public, "load_tiktoken_bpe", return_value={}):  # else it would be downloaded
        return openai_public.ENCODING_CONSTRUCTORS[f"{name}_base"]()["pat_str"]


def _ranks(path: Path, vocabulary: str) -> dict[bytes, int]:
    """The bytes of each symbol and its rank; TokensError where a line is not one, or a byte has no symbol."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            piece, rank = line.split()
            ranks[base64.b64decode(piece, validate=True)] = int(rank)
        except ValueError:
            message = f"{vocabulary}, line {number} is not base64 and a rank: name a .tiktoken file"
            raise TokensError(message) from None
    absent = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if absent:
        message = f"{vocabulary} has no symbol for the byte 0x{absent[0]:02X}: it is not a whole .tiktoken file"
        raise TokensError(message)
    if sorted(ranks.values()) != list(range(len(ranks))):
        message = f"{vocabulary} has ranks that are not 0, 1, 2 ..., each once: it is not a whole .tiktoken file"
        raise TokensError(message)
    return ranks
