"""Unigram-LM learned from the training split (Kudo 2018) over bytes, as `bpe` is: no special tokens, nothing unknown.

Writes `tokenizer.json`. The full byte alphabet is in the vocabulary, so any text has symbols.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from pydantic import Field
from tokenizers import models, pre_tokenizers, trainers

from bytegap import plugins
from bytegap.errors import TokensError
from bytegap.tokens import huggingface
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
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.UnigramTrainer(
        vocab_size=options.vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    texts = (document.decode("utf-8", "ignore") for document in training_documents)
    tokenizer.train_from_iterator(texts, trainer)
    found = tokenizer.get_vocab_size()
    if found != options.vocabulary:
        message = (
            f"the training text has pieces for {found} symbols only: "
            f"lower vocabulary = {options.vocabulary}, or give more text"
        )
        raise TokensError(message)
    table = json.loads(tokenizer.to_str())
    table["model"]["vocab"] = _settled(table["model"]["vocab"])
    (folder / huggingface.KEPT).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    return reopen(options, folder)


def _settled(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The same pieces in an order, and with scores, that no hash has a say in.

    The trainer's order among equals, and its scores of single bytes that the text does without, differ from one process
    to the next; those scores lie at the lowest of all others and below.
    """
    least = round(min((score for piece, score in pieces if len(piece) > 1), default=0.0), _DECIMALS)
    scores = {piece: round(score, _DECIMALS) for piece, score in pieces}
    scores = {piece: score if len(piece) > 1 or score > least else least - _NEVER for piece, score in scores.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def reopen(options: Options, folder: Path) -> Lossless:
    """The vocabulary that `prepare` learned."""
    return huggingface.read(folder / huggingface.KEPT, f"unigram with vocabulary = {options.vocabulary}")
