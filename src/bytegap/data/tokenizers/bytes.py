"""Bytes as tokens: V = 256, token i is byte i; nothing is learned or kept."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from bytegap.data.tokenizer_json import byte_level_alphabet
from bytegap.data.tokenizers.base import TokenizerSpec


class ByteTokenizer:
    """The identity, as a `Tokenizer`."""

    def __init__(self) -> None:
        """256 tokens."""
        self.token_bytes = [bytes([byte]) for byte in range(256)]
        self.escaped_bytes = 0

    def encode_batch(self, texts: list[bytes]) -> list[NDArray[np.uint8]]:
        """The bytes of each text, not copied."""
        return [np.frombuffer(text, np.uint8) for text in texts]


@dataclass(frozen=True)
class Bytes(TokenizerSpec):
    """Bytes as tokens; there are no options."""

    def fingerprint(self) -> str:
        """Empty: nothing is read."""
        return ""

    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> ByteTokenizer:
        """The byte tokenizer; nothing is learned or kept."""
        del training_documents
        return self.load(folder)

    @classmethod
    def load(cls, folder: Path) -> ByteTokenizer:
        """The byte tokenizer."""
        del folder
        return ByteTokenizer()

    @classmethod
    def tokenizer_json(cls, folder: Path) -> dict[str, object]:
        """Byte-level BPE without merges, ids equal to the bytes."""
        del folder
        pre_tokenizer = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": None,
            "decoder": None,
            "model": {"type": "BPE", "vocab": byte_level_alphabet(), "merges": []},
        }
