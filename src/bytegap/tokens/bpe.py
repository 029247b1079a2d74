"""Byte-level BPE learned from the training split (Sennrich et al. 2016; bytes as in GPT-2): no special tokens.

Writes `tokenizer.json`. The full byte alphabet is in the vocabulary, so any text has symbols.
"""

from collections.abc import Iterable
from pathlib import Path

import tokenizers
from pydantic import Field
from tokenizers import models, pre_tokenizers, trainers

from bytegap import plugins
from bytegap.errors import TokensError
from bytegap.tokens import huggingface
from bytegap.tokens.lossless import Lossless


class Options(plugins.Options):
    """How many symbols."""

    vocabulary: int = Field(ge=256)
    """V, the 256 bytes included."""


def fingerprint(options: Options) -> str:  # noqa: ARG001 - every kind has one
    """Nothing but the training text is read."""
    return ""


def prepare(options: Options, training_documents: Iterable[bytes], folder: Path) -> Lossless:
    """Learn the merges and keep them; TokensError if the text has fewer pairs than the vocabulary asks for."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    # Bytes that are not UTF-8 never reach the merges: `lossless` writes them as single bytes.
    texts = (document.decode("utf-8", "ignore") for document in training_documents)
    tokenizer.train_from_iterator(texts, trainer)
    found = tokenizer.get_vocab_size()
    if found < options.vocabulary:
        message = (
            f"the training text has merges for {found} symbols only: "
            f"lower vocabulary = {options.vocabulary}, or give more text"
        )
        raise TokensError(message)
    tokenizer.save(str(folder / huggingface.KEPT), pretty=False)
    return reopen(options, folder)


def reopen(options: Options, folder: Path) -> Lossless:
    """The vocabulary that `prepare` learned."""
    return huggingface.read(folder / huggingface.KEPT, f"bpe with vocabulary = {options.vocabulary}")
