"""Unigram-LM learned from the training split (Kudo 2018) over bytes, as `bpe` is: no special tokens, nothing unknown.

Writes `tokenizer.json`. The full byte alphabet is in the vocabulary, so any text has symbols.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field
from tokenizers import models, trainers

from bytegap import plugins
from bytegap.tokens import huggingface
from bytegap.tokens._learned import ALPHABET, learn
from bytegap.tokens.lossless import Lossless

_DECIMALS, _NEVER = 6, 10.0  # of a log-probability; how much less likely a byte is that the text does without


class Options(plugins.Options):
    """How many symbols."""

    vocabulary: int = Field(ge=257)
    """V, the 256 bytes included."""


def fingerprint(options: Options) -> str:  # noqa: ARG001 - every kind has one
    """Nothing but the training text is read."""
    return ""


def prepare(options: Options, training_documents: Iterable[bytes], folder: Path) -> Lossless:
    """Learn the pieces and keep them; TokensError if the text has fewer than the vocabulary asks for."""
    trainer = trainers.UnigramTrainer(
        vocab_size=options.vocabulary, initial_alphabet=ALPHABET, special_tokens=[], show_progress=False
    )
    tokenizer = learn(models.Unigram(), trainer, training_documents, options.vocabulary, "pieces")
    table = json.loads(tokenizer.to_str())
    table["model"]["vocab"] = _settled(table["model"]["vocab"])
    (folder / huggingface.KEPT).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    return reopen(folder)


def _settled(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The same pieces in an order, and with scores, that no hash has a say in.

    The trainer's order among equals, and its scores of single bytes that the text does without, differ from one process
    to the next; those scores lie at the lowest of all others and below.
    """
    least = round(min((score for piece, score in pieces if len(piece) > 1), default=0.0), _DECIMALS)
    scores = {piece: round(score, _DECIMALS) for piece, score in pieces}
    scores = {piece: score if len(piece) > 1 or score > least else least - _NEVER for piece, score in scores.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def reopen(folder: Path) -> Lossless:
    """The vocabulary that `prepare` learned."""
    return huggingface.reopen(folder)


tokenizer_json = huggingface.tokenizer_json
