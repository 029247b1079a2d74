"""What vocabularies learned from the training split share: bytes as letters, no special tokens, the size asked for."""

from collections.abc import Iterable
from typing import Any

import tokenizers
from tokenizers import pre_tokenizers

from bytegap.errors import TokensError

ALPHABET = pre_tokenizers.ByteLevel.alphabet()
"""A letter for each of the 256 bytes: all are symbols, so that any text has some."""


def learn(model: Any, trainer: Any, documents: Iterable[bytes], vocabulary: int, what: str) -> tokenizers.Tokenizer:
    """Train on the documents; TokensError if they have less of `what` than the vocabulary asks for."""
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # Bytes that are not UTF-8 are never learned from: `lossless` writes them as single bytes.
    tokenizer.train_from_iterator((document.decode("utf-8", "ignore") for document in documents), trainer)
    found = tokenizer.get_vocab_size()
    if found != vocabulary:
        message = (
            f"the training text has {what} for {found} symbols only: lower vocabulary = {vocabulary}, or give more text"
        )
        raise TokensError(message)
    return tokenizer
