"""Byte-level BPE learned from the training split (Sennrich et al. 2016; bytes as in GPT-2); no special tokens.

Writes `tokenizer.json`.
The full byte alphabet is in the vocabulary, so that any text can be represented.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field
from pydantic.dataclasses import dataclass
from tokenizers import models, trainers

from bytegap.data.learned_vocab import ALPHABET, LearnedVocabulary, learn
from bytegap.data.lossless import Lossless
from bytegap.data.tokenizers.huggingface import KEPT


@dataclass(frozen=True)
class BytePairEncoding(LearnedVocabulary):
    """Byte-pair encoding learned from the training split; the option says how many tokens it has."""

    vocab_size: int = Field(ge=256)
    """V, the 256 bytes included."""

    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> Lossless:
        """Learn and keep the merges; TokenizerError if the text has fewer pairs than `vocab_size` needs."""
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size, initial_alphabet=ALPHABET, special_tokens=[], show_progress=False
        )
        tokenizer = learn(models.BPE(), trainer, training_documents, self.vocab_size, "merges")
        tokenizer.save(str(folder / KEPT), pretty=False)
        return self.load(folder)
