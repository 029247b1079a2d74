"""Tokens: the 256 bytes, and the commonest pairs of bytes of the training text, taken from left to right.

Writes `pairs.json`.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bytegap import plugins
from bytegap.errors import TokensError


class Options(plugins.Options):
    """How many symbols."""

    vocabulary: int = Field(ge=257, le=256 + 256**2)
    """V, the 256 bytes included."""


class Digrams:
    """A `bytegap.symbols.Tokenizer`: joined, the bytes of the symbols are the text, whatever bytes it is of."""

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self.symbol_bytes = [bytes([byte]) for byte in range(256)] + [bytes(pair) for pair in pairs]
        self.escaped_bytes = 0
        self._symbols = {piece: symbol for symbol, piece in enumerate(self.symbol_bytes)}

    def encode_batch(self, texts: list[bytes]) -> list[NDArray[np.uint32]]:
        """The symbols of each text."""
        return [np.fromiter(self._encode(text), np.uint32) for text in texts]

    def _encode(self, text: bytes) -> Iterator[int]:
        place = 0
        while place < len(text):
            pair = self._symbols.get(text[place : place + 2])
            yield text[place] if pair is None else pair
            place += 1 if pair is None else len(self.symbol_bytes[pair])


def fingerprint(options: Options) -> str:  # noqa: ARG001 - every kind takes them
    """Nothing but the training text is read."""
    return ""


def prepare(options: Options, training_documents: Iterable[bytes], folder: Path) -> Digrams:
    """Count pairs and keep the commonest; TokensError if the text has too few."""
    counts = np.zeros(256**2, np.int64)
    for document in training_documents:
        data = np.frombuffer(document, np.uint8).astype(np.int64)
        counts += np.bincount(256 * data[:-1] + data[1:], minlength=256**2)
    commonest = np.argsort(-counts, kind="stable")[: options.vocabulary - 256]
    if not counts[commonest].all():
        message = (
            f"the training text has {np.count_nonzero(counts)} pairs only: lower vocabulary = {options.vocabulary}"
        )
        raise TokensError(message)
    (folder / "pairs.json").write_text(json.dumps([divmod(code, 256) for code in commonest.tolist()]))
    return reopen(folder)


def reopen(folder: Path) -> Digrams:
    """What `prepare` kept."""
    return Digrams(json.loads((folder / "pairs.json").read_text()))
