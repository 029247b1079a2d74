"""A tokenizer: the 256 bytes, and the most frequent pairs of bytes of the training text, matched from left to right.

Writes `pairs.json`.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.data.tokenizers.base import TokenizerSpec
from bytegap.errors import TokenizerError


class DigramTokenizer:
    """A `Tokenizer`: the bytes of the tokens, joined, are the text, whatever bytes it has."""

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self.token_bytes = [bytes([byte]) for byte in range(256)] + [bytes(pair) for pair in pairs]
        self.escaped_bytes = 0
        self._token_of = {piece: token for token, piece in enumerate(self.token_bytes)}

    def encode_batch(self, texts: list[bytes]) -> list[NDArray[np.uint32]]:
        """The tokens of each text."""
        return [np.fromiter(self._encode(text), np.uint32) for text in texts]

    def _encode(self, text: bytes) -> Iterator[int]:
        offset = 0
        while offset < len(text):
            pair = self._token_of.get(text[offset : offset + 2])
            yield text[offset] if pair is None else pair
            offset += 1 if pair is None else len(self.token_bytes[pair])


@dataclass(frozen=True)
class Digrams(TokenizerSpec):
    """A vocabulary of all bytes and the most frequent pairs of bytes."""

    vocab_size: int = Field(ge=257, le=256 + 256**2)
    """V, the 256 bytes included."""

    def fingerprint(self) -> str:
        """Empty: only the training text is read."""
        return ""

    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> DigramTokenizer:
        """Count pairs and keep the most frequent; TokenizerError if the text has too few."""
        counts = np.zeros(256**2, np.int64)
        for document in training_documents:
            data = np.frombuffer(document, np.uint8).astype(np.int64)
            counts += np.bincount(256 * data[:-1] + data[1:], minlength=256**2)
        kept = np.argsort(-counts, kind="stable")[: self.vocab_size - 256]
        if not counts[kept].all():
            raise TokenizerError(
                f"the training text has only {np.count_nonzero(counts)} pairs: lower vocab_size = {self.vocab_size}"
            )
        (folder / "pairs.json").write_text(json.dumps([divmod(code, 256) for code in kept.tolist()]))
        return self.load(folder)

    @classmethod
    def load(cls, folder: Path) -> DigramTokenizer:
        """The pairs that `prepare` kept."""
        return DigramTokenizer(json.loads((folder / "pairs.json").read_text()))
