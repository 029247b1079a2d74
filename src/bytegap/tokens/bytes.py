"""Bytes as symbols: V = 256, symbol i is byte i, and nothing to prepare or to keep."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bytegap import plugins
from bytegap.tokens.huggingface import byte_level_alphabet


class Options(plugins.Options):
    """None: bytes are bytes."""


class Bytes:
    """The identity, as a `Tokenizer`."""

    def __init__(self) -> None:
        """256 symbols."""
        self.symbol_bytes = [bytes([byte]) for byte in range(256)]
        self.escaped_bytes = 0

    def encode_batch(self, texts: list[bytes]) -> list[NDArray[np.uint8]]:
        """The bytes of each text, not copied."""
        return [np.frombuffer(text, np.uint8) for text in texts]


def fingerprint(options: Options) -> str:  # noqa: ARG001 - every kind has one
    """Nothing is read."""
    return ""


def prepare(options: Options, training_documents: Iterable[bytes], folder: Path) -> Bytes:  # noqa: ARG001
    """Nothing to learn."""
    return Bytes()


def reopen(folder: Path) -> Bytes:  # noqa: ARG001
    """Nothing was kept."""
    return Bytes()


def tokenizer_json(folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """The same as a `tokenizer.json`: byte-level BPE without merges, ids equal to the bytes."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": byte_level_alphabet(), "merges": []},
    }
