"""Byte-level BPE learned from the training split (Sennrich et al. 2016; bytes as in GPT-2): no special tokens.

Writes `tokenizer.json`. The full byte alphabet is in the vocabulary, so any text has symbols.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field
from tokenizers import models, trainers

from bytegap import plugins
from bytegap.tokens import huggingface
from bytegap.tokens._learned import ALPHABET, learn
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
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary, initial_alphabet=ALPHABET, special_tokens=[], show_progress=False
    )
    tokenizer = learn(models.BPE(), trainer, training_documents, options.vocabulary, "merges")
    tokenizer.save(str(folder / huggingface.KEPT), pretty=False)
    return reopen(folder)


def reopen(folder: Path) -> Lossless:
    """The vocabulary that `prepare` learned."""
    return huggingface.reopen(folder)


tokenizer_json = huggingface.tokenizer_json
