"""Bytes as symbols: V = 256, symbol i is byte i, and nothing to prepare or to keep."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bytegap import plugins


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
