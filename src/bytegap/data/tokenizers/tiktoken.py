"""A given `.tiktoken` vocabulary, base64 bytes and rank on each line; a copy is kept with the study.

There are no special tokens.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType
from typing import Literal

import tiktoken
from pydantic.dataclasses import dataclass
from tiktoken_ext import openai_public

from bytegap.data.lossless import Lossless, Segment, vocabulary_file
from bytegap.data.tiktoken_ranks import read_ranks
from bytegap.data.tokenizers.base import TokenizerSpec
from bytegap.errors import TokenizerError
from bytegap.io.atomic import file_sha256

_KEPT, _PATTERN = "vocabulary.tiktoken", "pattern"

PATTERNS = ("r50k", "cl100k", "o200k")
PUBLISHED = {50_256: "r50k", 100_256: "cl100k", 199_998: "o200k"}
"""Number of tokens of a published vocabulary -> its pattern."""


@dataclass(frozen=True)
class Tiktoken(TokenizerSpec):
    """A tiktoken vocabulary; the options say which, and which pattern splits text into words."""

    file: str
    """A `.tiktoken` file."""
    pattern: Literal["r50k", "cl100k", "o200k"] | None = None
    """How text is split into words; None: known from the size of a published vocabulary."""

    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return file_sha256(vocabulary_file(self.file))

    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> Lossless:
        """Keep a copy of the vocabulary and the name of its pattern; nothing is learned from the text."""
        del training_documents
        shutil.copyfile(vocabulary_file(self.file), folder / _KEPT)
        ranks = read_ranks(folder / _KEPT, self.file)
        pattern = self.pattern or PUBLISHED.get(len(ranks))
        if pattern is None:
            raise TokenizerError(
                f"{self.file} has {len(ranks):,} tokens, like no published vocabulary: "
                f"set pattern to one of {', '.join(PUBLISHED.values())}"
            )
        (folder / _PATTERN).write_text(pattern, encoding="utf-8")
        return _lossless(ranks, pattern, self.file)

    @classmethod
    def load(cls, folder: Path) -> Lossless:
        """The copy that `prepare` kept."""
        path = folder / _KEPT
        return _lossless(read_ranks(path, str(path)), (folder / _PATTERN).read_text(encoding="utf-8"), str(path))


def as_written(path: Path, name: str, pattern: str) -> Segment:
    """How the file segments texts under a published pattern, or a regular expression."""
    try:
        encoding = _encoding(read_ranks(path, name), word_pattern(pattern) if pattern in PATTERNS else pattern, name)
    except ValueError as error:
        raise TokenizerError(f"{pattern!r} is not a regular expression that tiktoken reads ({error})") from None
    return encoding.encode_ordinary_batch


def _encoding(ranks: dict[bytes, int], expression: str, name: str) -> tiktoken.Encoding:
    return tiktoken.Encoding(name, pat_str=expression, mergeable_ranks=ranks, special_tokens={})


def _lossless(ranks: dict[bytes, int], pattern: str, name: str) -> Lossless:
    encoding = _encoding(ranks, word_pattern(pattern), name)
    token_bytes = [b""] * (1 + max(ranks.values()))
    for piece, rank in ranks.items():
        token_bytes[rank] = piece
    return Lossless(name, token_bytes, encoding.encode_ordinary_batch)


def word_pattern(name: str) -> str:
    """The regular expression that splits text into words, as tiktoken itself defines it for a published vocabulary.

    Its constructors would download the vocabulary; a copy of the function with another loader does not.
    """
    constructor = openai_public.ENCODING_CONSTRUCTORS[f"{name}_base"]
    assert isinstance(constructor, FunctionType)
    offline = constructor.__globals__ | {"load_tiktoken_bpe": _no_ranks}
    pattern = FunctionType(constructor.__code__, offline)()["pat_str"]
    assert isinstance(pattern, str)
    return pattern


def _no_ranks(*_: object, **__: object) -> dict[bytes, int]:
    """Stands for the loader that downloads."""
    return {}
