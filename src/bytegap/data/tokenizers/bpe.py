"""Byte-level BPE learned from the training split (Sennrich et al. 2016; bytes as in GPT-2); no special tokens.

Writes `tokenizer.json`.
The full byte alphabet is in the vocabulary, so that any text can be represented.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field
from pydantic.dataclasses import dataclass
from tokenizers import models, trainers

from bytegap.data.learned_vocab import ALPHABET, learn
from bytegap.data.lossless import Lossless
from bytegap.data.tokenizers.base import TokenizerSpec
from bytegap.data.tokenizers.huggingface import KEPT, kept_tokenizer_json, load_tokenizer_json


@dataclass(frozen=True)
class BytePairEncoding(TokenizerSpec):
    """How many tokens."""

    vocab_size: int = Field(ge=256)
    """V, the 256 bytes included."""

    def fingerprint(self) -> str:
        """Empty: only the training text is read."""
        return ""

    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> Lossless:
        """Learn and keep the merges; TokenizerError if the text has fewer pairs than `vocab_size` needs."""
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size, initial_alphabet=ALPHABET, special_tokens=[], show_progress=False
        )
        tokenizer = learn(models.BPE(), trainer, training_documents, self.vocab_size, "merges")
        tokenizer.save(str(folder / KEPT), pretty=False)
        return self.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Lossless:
        """The vocabulary that `prepare` learned."""
        return load_tokenizer_json(folder / KEPT)

    @classmethod
    def tokenizer_json(cls, folder: Path) -> dict[str, object]:
        """The kept `tokenizer.json`."""
        return kept_tokenizer_json(folder)
