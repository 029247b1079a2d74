"""Unigram LM learned from the training split (Kudo 2018), over bytes like `bpe`; no special or unknown tokens.

Writes `tokenizer.json`.
The full byte alphabet is in the vocabulary, so that any text can be represented.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field
from pydantic.dataclasses import dataclass
from tokenizers import models, trainers

from bytegap.data.learned_vocab import ALPHABET, LearnedVocabulary, learn
from bytegap.data.lossless import Lossless
from bytegap.data.tokenizers.huggingface import KEPT

_DECIMALS, _NEVER = 6, 10.0  # of a log-probability; how much less likely an unused byte is than any other piece


@dataclass(frozen=True)
class UnigramLM(LearnedVocabulary):
    """A unigram vocabulary learned from the training split; the option says how many tokens it has."""

    vocab_size: int = Field(ge=257)
    """V, the 256 bytes included."""

    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> Lossless:
        """Learn and keep the pieces; TokenizerError if the text has fewer than `vocab_size` needs."""
        trainer = trainers.UnigramTrainer(
            vocab_size=self.vocab_size, initial_alphabet=ALPHABET, special_tokens=[], show_progress=False
        )
        tokenizer = learn(models.Unigram(), trainer, training_documents, self.vocab_size, "pieces")
        table = json.loads(tokenizer.to_str())
        table["model"]["vocab"] = _reproducible(table["model"]["vocab"])
        (folder / KEPT).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
        return self.load(folder)


def _reproducible(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The same pieces, in an order and with scores that do not depend on hashing.

    The trainer's order among equals, and its scores of single bytes that the text does not use, differ from one process
    to the next; those scores lie at or below the lowest of all others.
    """
    least = round(min((score for piece, score in pieces if len(piece) > 1), default=0.0), _DECIMALS)
    scores = {piece: round(score, _DECIMALS) for piece, score in pieces}
    scores = {piece: score if len(piece) > 1 or score > least else least - _NEVER for piece, score in scores.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
