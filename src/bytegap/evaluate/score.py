"""Bits per byte of a text under a model, with the nats of each byte.

A text is one document: its tokens, then EOS, which has a loss and no bytes.
It is cut into sequences of the model's length, each of which is given nothing but BOS.
Arms of a study are compared on windows common to all of them instead (`data/eval_windows.py`), which `bytegap train`
scores.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bytegap.cost.bits import bits_per_byte
from bytegap.data.windows import Windows, chunk_lengths
from bytegap.errors import EvaluateError
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import token_nats
from bytegap.lm.unmasking_rules import NELBO, likelihood_nats


@dataclass(frozen=True)
class TextScore:
    """The score of a text."""

    bits_per_byte: float
    """Over the text's own bytes, whatever the tokenizer; for a masked model an upper bound."""
    se: float
    """Standard error of `bits_per_byte`; 0 where the likelihood is exact."""
    nats: float
    """Of the text and its EOS."""
    bytes: int


@dataclass(frozen=True)
class ByteScores:
    """A text with the nats of each of its bytes."""

    text: bytes
    tokens: int
    """EOS included."""
    sequences: int
    byte_nats: NDArray[np.float64]
    """(bytes,): a token's nats divided evenly among its bytes."""
    eos_nats: float
    pass_nats: NDArray[np.float64]
    """(passes,): of text and EOS, by each independent pass; one where the likelihood is exact."""

    @property
    def nats(self) -> float:
        """Of text and EOS."""
        return float(self.pass_nats.mean())


def score_text(model: LanguageModel, text: str | bytes, *, mc_passes: int | None = None) -> TextScore:
    """Bits per byte of one text; a string is scored as UTF-8.

    `mc_passes` replaces the model's own number of Monte Carlo passes, where its likelihood is an estimate.
    Raises EvaluateError where the text is empty or an estimate is given a single pass, ModelError where the model
    gives a token of the text probability 0 or returns numbers that are not finite.
    """
    text = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if not text:
        raise EvaluateError("the text is empty, and bits per byte of an empty text are undefined: score another")
    scored = score_bytes(with_mc_passes(model, mc_passes), text)
    n_bytes = len(text)
    return TextScore(
        bits_per_byte(scored.nats, n_bytes), standard_error(scored.pass_nats, n_bytes), scored.nats, n_bytes
    )


def with_mc_passes(model: LanguageModel, mc_passes: int | None) -> LanguageModel:
    """The model with that number of Monte Carlo passes; None: its own.

    EvaluateError where an estimate would have a single pass, and so no standard error.
    """
    model = model if mc_passes is None else replace(model, mc_passes=mc_passes)
    if not model.objective.is_exact and model.mc_passes < 2:
        raise EvaluateError("a single Monte Carlo pass gives no standard error: use 2 or more (--mc-passes)")
    return model


def score_bytes(model: LanguageModel, text: bytes, likelihood: str = NELBO, stride: int | None = None) -> ByteScores:
    """The nats of each byte of a text, which may be empty; EvaluateError where the model has no such likelihood.

    With a `stride`, each sequence but the first scores at most so many tokens, and is given those before them that the
    model's sequence length holds.
    """
    text_tokens = model.tokenizer.encode_batch([text])[0]
    tokens = np.append(text_tokens, model.vocabulary.eos).astype(np.int64)
    if stride is None:
        counts = np.array(chunk_lengths(len(tokens), model.seq_len))
        nats, pass_nats = likelihood_nats(model, Windows(tokens, counts, len(text), sha256=""), likelihood)
    else:
        index, counts, prefix_lengths = _sliding(len(tokens), model.seq_len, stride)
        own, pass_nats = token_nats(
            model, Windows(tokens[index], counts, len(text), sha256=""), torch.from_numpy(prefix_lengths)
        )
        nats = torch.zeros(len(tokens), dtype=own.dtype).index_add(0, torch.from_numpy(index), own)
    lengths = np.array([len(piece) for piece in model.tokenizer.token_bytes])[text_tokens]
    assert int(lengths.sum()) == len(text), "the tokens' bytes are the text"
    return ByteScores(
        text=text,
        tokens=len(tokens),
        sequences=len(counts),
        byte_nats=np.repeat(nats.numpy()[:-1] / np.maximum(lengths, 1), lengths),
        eos_nats=float(nats[-1]),
        pass_nats=pass_nats.numpy(),
    )


def _sliding(tokens: int, seq_len: int, stride: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sequences that overlap: (which token each position holds, their lengths, how many of each are given)."""
    ends = [min(seq_len, tokens)]
    while ends[-1] < tokens:
        ends.append(min(ends[-1] + stride, tokens))
    starts = [max(0, end - seq_len) for end in ends]
    index = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
    prefix_lengths = [0, *(before - start for before, start in zip(ends, starts[1:], strict=False))]
    return index, np.subtract(ends, starts), np.array(prefix_lengths, np.int64)


def standard_error(pass_nats: NDArray[np.float64], n_bytes: int) -> float:
    """Standard error of the mean of independent passes, in bits per byte of a text that is not empty; 0 for one."""
    if len(pass_nats) < 2:
        return 0.0
    return bits_per_byte(float(pass_nats.std(ddof=1)) / len(pass_nats) ** 0.5, n_bytes)
