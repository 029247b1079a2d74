"""The tokens of anybody's tokenizer file: the true bytes of each id, and how the file writes it.

A `tokenizer.json` and a `.tiktoken` file are read without their libraries, a SentencePiece model with its own.
What a file is, its content says, and not its name.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from bytegap.data.tiktoken_ranks import read_ranks
from bytegap.data.tokenizer_json import ids_of_file, read_tokenizer_json, token_bytes, unknown_tokens
from bytegap.errors import TokenizerError, file_error
from bytegap.extras import missing_extra
from bytegap.io.paths import expanded

TokenizerKind = Literal["tokenizer.json", "SentencePiece", "tiktoken"]

SPACE_MARK = "\u2581"
"""How SentencePiece and its kin write a space."""

_BYTE_PIECE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_NAMES = ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "*.tiktoken")


@dataclass(frozen=True)
class TokenVocabulary:
    """The V tokens of a tokenizer file."""

    path: Path
    kind: TokenizerKind
    token_bytes: list[bytes]
    """True bytes of each id; empty for one that stands for no text."""
    written: list[str]
    """Each token as the file writes it."""
    special: frozenset[int]
    """Ids that stand for no text: control and unknown tokens."""
    unknown: frozenset[int] = frozenset()
    """Of those, what stands in a text for what the vocabulary has no token for."""

    @cached_property
    def spelled(self) -> list[bytes]:
        """What each id is in decoded text: its true bytes, or the name of a special token."""
        names = {i: self.written[i].encode() for i in self.special} if self.kind == "tokenizer.json" else {}
        return [names.get(i, piece) for i, piece in enumerate(self.token_bytes)]

    @cached_property
    def marks_spaces(self) -> bool:
        """Whether spaces are written as U+2581."""
        return any(SPACE_MARK in token for token in self.written)

    @cached_property
    def lacks_space_piece(self) -> bool:
        """Whether a space that no longer piece holds becomes the three bytes of U+2581.

        Source: openai/parameter-golf, issue 897.
        """
        return self.marks_spaces and SPACE_MARK not in self.written and "<0xE2>" in self.written

    def is_byte_piece(self, i: int) -> bool:
        """Whether the file writes the token as `<0xNN>`."""
        return _BYTE_PIECE.fullmatch(self.written[i]) is not None


def read_vocabulary(path: Path) -> TokenVocabulary:
    """The vocabulary in a file, or in a model's folder; TokenizerError where it cannot be read."""
    path = _file_of(expanded(path))
    try:
        with path.open("rb") as file:
            begin = file.read(4096)
    except OSError as error:
        raise file_error(error, path) or error from None
    if not begin:
        raise TokenizerError(f"{path} is empty: name a tokenizer.json, a SentencePiece .model or a .tiktoken file")
    if begin.startswith(b"version https://git-lfs"):
        raise TokenizerError(f"{path} is a Git LFS pointer, not the file itself: fetch it with 'git lfs pull'")
    if begin.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")):
        raise TokenizerError(
            f"{path} is a pickle or an archive, which is not opened because it can run code: write its vocabulary as "
            "a .tiktoken file, or save it as tokenizer.json"
        )
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _from_tokenizer_json(path)
    if re.match(rb"[A-Za-z0-9+/]+={0,2} \d+\r?(\n|$)", begin):
        return _from_tiktoken(path)
    return _from_sentencepiece(path)


def _file_of(path: Path) -> Path:
    """The vocabulary file: `path`, or the first known name in the folder `path`."""
    if not path.is_dir():
        return path
    found = [file for name in _NAMES for file in sorted(path.glob(name))]
    if not found:
        raise TokenizerError(
            f"{path} holds no tokenizer.json, tokenizer.model or .tiktoken file: save one there, with transformers by "
            "AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(...)"
        )
    return found[0]


def _from_tokenizer_json(path: Path) -> TokenVocabulary:
    table = read_tokenizer_json(path, str(path))
    try:
        from bytegap.data.tokenizers.huggingface import ids_of_library
    except ModuleNotFoundError:  # in the base install; the two differ only where a file leaves gaps between ids
        ids = ids_of_file(table)
    else:
        ids = ids_of_library(table, str(path))
    pieces = token_bytes(table, ids)
    written = [""] * len(pieces)
    for token, i in ids.written.items():
        written[i] = token
    silent = frozenset(i for i, piece in enumerate(pieces) if not piece)
    unknown = frozenset(unknown_tokens(table, ids))
    return TokenVocabulary(path, "tokenizer.json", pieces, written, ids.special | silent, unknown)


def _from_tiktoken(path: Path) -> TokenVocabulary:
    ranks = read_ranks(path, str(path))
    pieces = sorted(ranks, key=ranks.__getitem__)
    written = [piece.decode("utf-8", "backslashreplace") for piece in pieces]
    return TokenVocabulary(path, "tiktoken", pieces, written, frozenset())


def _from_sentencepiece(path: Path) -> TokenVocabulary:
    try:
        from bytegap.data.tokenizers.sentencepiece import read_pieces
    except ModuleNotFoundError as error:
        raise missing_extra(f"reading the SentencePiece model {path}", error) or error from None
    read = read_pieces(path, str(path))
    special = frozenset(i for i, piece in enumerate(read) if not piece.text)
    unknown = frozenset(i for i, piece in enumerate(read) if piece.is_unknown)
    written = [piece.written for piece in read]
    return TokenVocabulary(path, "SentencePiece", [piece.text for piece in read], written, special, unknown)
