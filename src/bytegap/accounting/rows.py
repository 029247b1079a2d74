"""What a row of S symbols asks of a model: positions through the body, and how many of them are answered. No torch."""

from dataclasses import dataclass
from math import ceil, sqrt


@dataclass(frozen=True)
class Row:
    """One training row; BOS is a position and no symbol."""

    symbols: int
    positions: int
    supervised: float
    """Mean over rows."""
    pairs: int
    """Of positions, the seeing and the seen."""
    repeated: int = 0
    """Positions that only show others the clean text: a second pass in disguise."""
    repeated_pairs: int = 0
    """Of `pairs`, those that the repeated positions see."""


def autoregressive(symbols: int) -> Row:
    """BOS and all symbols but the last go in, every symbol comes out."""
    return Row(symbols, positions=symbols, supervised=symbols, pairs=symbols * (symbols + 1) // 2)


def masked(symbols: int, supervised: float | None = None) -> Row:
    """BOS and all symbols go in, masked or not; unless said otherwise about a third is answered, drawn as k^-1/2."""
    answered = answered_of(symbols) if supervised is None else supervised
    return Row(symbols, positions=symbols + 1, supervised=answered, pairs=(symbols + 1) ** 2)


def answered_of(units: int) -> float:
    """Mean k where k of so many units are hidden with probability sqrt(k / S) - sqrt((k - 1) / S)."""
    return units - sum(sqrt(k / units) for k in range(units))


def blocks(symbols: int, size: int) -> Row:
    """Each block hidden in part behind the clean text of those before it, which is repeated beside them.

    The last block's clean copy is left out: no one may see it.
    """
    sizes = [min(size, symbols - start) for start in range(0, symbols, size)]
    clean = sum(sizes[:-1])
    # A block's hidden positions see BOS, the clean blocks before them and themselves; its clean copy the same.
    seen = [own * (1 + sum(sizes[:number]) + own) for number, own in enumerate(sizes)]
    return Row(
        symbols,
        positions=1 + symbols + clean,
        supervised=sum(map(answered_of, sizes)),
        pairs=1 + sum(seen) + sum(seen[:-1]),
        repeated=clean,
        repeated_pairs=sum(seen[:-1]),
    )


def spans(symbols: int, length: int) -> Row:
    """`masked` where spans of `length` symbols are hidden whole; the first is 1 to `length` long, each as likely."""
    answered = 0.0
    for first in range(1, length + 1):
        units = 1 + ceil(max(0, symbols - first) / length)
        answered += symbols * answered_of(units) / units / length
    return masked(symbols, answered)
