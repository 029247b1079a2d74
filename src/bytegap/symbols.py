"""What every symbol set offers, and how one that was prepared is opened again. Reads tokens/NAME/."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bytegap import plugins
from bytegap.records import TokensManifest
from bytegap.store import Folder


class Tokenizer(Protocol):
    """Bytes into symbols: joined, the bytes of the symbols are the text."""

    symbol_bytes: list[bytes]
    """Of each of the V symbols; empty for one that stands for no text and is never produced."""
    escaped_bytes: int
    """So far, of all texts encoded: bytes that the vocabulary's own segmentation could not carry."""

    def encode_batch(self, texts: list[bytes]) -> Sequence[NDArray[np.unsignedinteger]]:
        """The symbols of each text; TokensError if the vocabulary cannot represent it."""
        ...


def reopen(folder: Folder, manifest: TokensManifest) -> Tokenizer:
    """The tokenizer that a study prepared, from what its folder keeps."""
    return plugins.load("tokens", manifest.kind).reopen(folder.tokens_of(manifest.name))
