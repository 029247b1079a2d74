"""A given `.tiktoken` vocabulary (base64 bytes and rank a line); a copy is kept with the study. No special tokens."""

import base64
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import tiktoken

from bytegap import plugins
from bytegap.errors import TokensError
from bytegap.store import file_digest
from bytegap.tokens.lossless import Lossless, given_file

_KEPT = "vocabulary.tiktoken"

# How each published vocabulary cuts text into words, from `tiktoken_ext/openai_public.py` of tiktoken 0.14.0, where
# two of the three stand inside functions that would download a vocabulary.
_PATTERNS = {
    "r50k": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    "o200k": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
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
    """Keep a copy of the vocabulary; nothing is learned from the text."""
    shutil.copyfile(given_file(options.file), folder / _KEPT)
    return reopen(options, folder)


def reopen(options: Options, folder: Path) -> Lossless:
    """The copy that `prepare` kept."""
    ranks = _ranks(folder / _KEPT, options.file)
    pattern = options.pattern or _PUBLISHED.get(len(ranks))
    if pattern is None:
        message = (
            f"{options.file} has {len(ranks):,} symbols, as no published vocabulary: "
            f"set pattern to one of {', '.join(_PATTERNS)}"
        )
        raise TokensError(message)
    encoding = tiktoken.Encoding(options.file, pat_str=_PATTERNS[pattern], mergeable_ranks=ranks, special_tokens={})
    symbol_bytes = [b""] * (1 + max(ranks.values()))
    for piece, rank in ranks.items():
        symbol_bytes[rank] = piece
    return Lossless(options.file, symbol_bytes, encoding.encode_ordinary_batch)


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
    return ranks
