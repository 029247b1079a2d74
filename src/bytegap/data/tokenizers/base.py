"""The interface of a tokenizer, and of how a study prepares one."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import TokenizerError
from bytegap.io.arrays import verify
from bytegap.schema.data import TokenizerManifest
from bytegap.study.registry import Part, build, part_class


class Tokenizer(Protocol):
    """Maps any bytes to tokens whose bytes, joined, are the text."""

    token_bytes: list[bytes]
    """The bytes of each of the V tokens; empty for one that stands for no text and is never produced."""
    escaped_bytes: int
    """Bytes of all texts encoded so far that the vocabulary's own segmentation could not represent."""

    def encode_batch(self, texts: list[bytes]) -> Sequence[NDArray[np.unsignedinteger]]:
        """The tokens of each text; TokenizerError if the vocabulary cannot represent it."""
        ...


class TokenizerSpec(Part, ABC):
    """A kind of tokenizer with its options: how it is prepared on training text, kept, and loaded again."""

    kind: ClassVar[str] = "tokenizer"

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of what it reads besides the training text; where it changes, the tokenizer is made again."""

    @abstractmethod
    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> Tokenizer:
        """Make the tokenizer and keep in `folder` what `load` needs, in files with plain names."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Tokenizer:
        """The tokenizer that `prepare` kept in `folder`."""

    @classmethod
    def tokenizer_json(cls, folder: Path) -> dict[str, object]:
        """The kept tokenizer as a `tokenizer.json` with the same ids; TokenizerError for a kind that has none."""
        raise TokenizerError(f"{folder}: a tokenizer of kind '{cls.__name__}' cannot be written as tokenizer.json")


def tokenizer_spec(name: str, options: Mapping[str, object] | None = None) -> TokenizerSpec:
    """The spec of kind `name`; StudyError where there is none or an option is wrong."""
    return build(TokenizerSpec, name, options or {})


def load_prepared(manifest: TokenizerManifest, folder: Path) -> Tokenizer:
    """The tokenizer that a study prepared; StudyDirError where a file that it keeps is missing or altered."""
    for file in manifest.kept:
        verify(folder, file)
    return load_tokenizer(manifest.kind, folder)


def load_tokenizer(kind: str, folder: Path) -> Tokenizer:
    """The tokenizer of that kind that is kept in `folder`."""
    return tokenizer_class(kind).load(folder)


def tokenizer_class(kind: str) -> type[TokenizerSpec]:
    """The class of a kind of tokenizer; StudyError where there is none."""
    cls = part_class(TokenizerSpec.kind, kind)
    assert issubclass(cls, TokenizerSpec)
    return cls
