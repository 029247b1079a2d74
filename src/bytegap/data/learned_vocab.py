"""What vocabularies learned from the training split share: bytes as letters, no special tokens, a fixed size.

They are kept as `tokenizer.json`.
"""

from abc import ABC
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from bytegap.data.lossless import Lossless
from bytegap.data.tokenizers.base import TokenizerSpec
from bytegap.data.tokenizers.huggingface import KEPT, kept_tokenizer_json, load_tokenizer_json
from bytegap.errors import TokenizerError

ALPHABET = pre_tokenizers.ByteLevel.alphabet()
"""A letter for each of the 256 bytes; all are tokens, so that any text can be represented."""


class LearnedVocabulary(TokenizerSpec, ABC):
    """A vocabulary whose `prepare` writes `tokenizer.json`."""

    def fingerprint(self) -> str:
        """Empty: only the training text is read."""
        return ""

    @classmethod
    def load(cls, folder: Path) -> Lossless:
        """The vocabulary that `prepare` learned."""
        return load_tokenizer_json(folder / KEPT)

    @classmethod
    def tokenizer_json(cls, folder: Path) -> dict[str, object]:
        """The kept `tokenizer.json`."""
        return kept_tokenizer_json(folder)


def learn(
    model: models.Model, trainer: trainers.Trainer, documents: Iterable[bytes], vocab_size: int, what: str
) -> tokenizers.Tokenizer:
    """Train on the documents; TokenizerError if they have less of `what` than `vocab_size` needs."""
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    # Bytes that are not UTF-8 are not learned from: `lossless` writes them as single bytes.
    tokenizer.train_from_iterator((document.decode("utf-8", "ignore") for document in documents), trainer)
    found = tokenizer.get_vocab_size()
    if found != vocab_size:
        raise TokenizerError(
            f"the training text has {what} for only {found} tokens: lower vocab_size = {vocab_size}, or give more text"
        )
    return tokenizer
