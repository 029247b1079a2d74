"""What a row of S symbols asks of a model: positions through the body, and how many of them are answered. No torch."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Row:
    """One training row; BOS is a position and no symbol."""

    symbols: int
    positions: int
    supervised: float
    """Mean over rows."""
    causal: bool


def autoregressive(symbols: int) -> Row:
    """BOS and all symbols but the last go in, every symbol comes out."""
    return Row(symbols, positions=symbols, supervised=symbols, causal=True)


def masked(symbols: int) -> Row:
    """BOS and all symbols go in, masked or not; k of S are answered, k drawn as k^-1/2: about a third."""
    supervised = symbols - sum(sqrt(k / symbols) for k in range(symbols))
    return Row(symbols, positions=symbols + 1, supervised=supervised, causal=False)
