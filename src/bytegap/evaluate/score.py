"""Bits of a text under a model, byte by byte: rows of S symbols, each given nothing but itself and BOS.

A text is one document: its symbols end with EOS, which has a loss and no bytes. A model's rows are what it was trained
on, so that it is never asked beyond them; a study's arms are compared on windows common to all of them instead
(`tokens/scoring.py`), which `bytegap train` scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bytegap.accounting.bits import bits_per_byte
from bytegap.likelihood import symbol_nats
from bytegap.trained import Trained
from bytegap.windows import Windows, row_lengths


@dataclass(frozen=True)
class Scored:
    """A text, scored."""

    text: bytes
    symbols: int
    """EOS included."""
    rows: int
    byte_nats: NDArray[np.float64]
    """Of each byte, (bytes,): its symbol's, shared out evenly."""
    eos_nats: float
    pass_nats: NDArray[np.float64]
    """Of the whole text, (passes,)."""

    @property
    def nats(self) -> float:
        """Of the whole text."""
        return float(self.pass_nats.mean())

    @property
    def bits_per_byte(self) -> float:
        """Of the text's own bytes; nan where it has none."""
        return bits_per_byte(self.nats, len(self.text)) if self.text else float("nan")

    @property
    def se(self) -> float:
        """Standard error of the estimate, bits per byte; 0 where the likelihood is exact."""
        return standard_error(self.pass_nats, len(self.text))


def standard_error(pass_nats: NDArray[np.float64], n_bytes: int) -> float:
    """Of the mean of independent passes, in bits per byte."""
    if len(pass_nats) < 2:
        return 0.0
    return bits_per_byte(float(pass_nats.std(ddof=1)) / len(pass_nats) ** 0.5, n_bytes) if n_bytes else float("nan")


def score(trained: Trained, text: bytes, passes: int) -> Scored:
    """The text under the model, over so many passes where the likelihood is an estimate."""
    own = trained.tokenizer.encode_batch([text])[0]
    symbols = np.append(own, trained.vocabulary.eos).astype(np.int64)
    S = trained.row_symbols
    counts = np.array(row_lengths(len(symbols), S))
    nats, sums = symbol_nats(
        trained,
        trained.objective,
        trained.options,
        Windows(symbols=symbols, counts=counts, bytes=len(text), sha256=""),
        trained.vocabulary,
        passes=passes,
        seed=trained.seed,
    )
    lengths = np.array([len(piece) for piece in trained.tokenizer.symbol_bytes])[own]
    assert int(lengths.sum()) == len(text), "symbols carry exactly the text's bytes"
    return Scored(
        text=text,
        symbols=len(symbols),
        rows=len(counts),
        byte_nats=np.repeat(nats.numpy()[:-1] / np.maximum(lengths, 1), lengths),
        eos_nats=float(nats[-1]),
        pass_nats=sums.numpy(),
    )
