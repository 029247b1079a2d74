"""Corruptions of a text: bytes deleted, neighbouring bytes transposed, the case of letters flipped."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
_CASE_BIT = np.uint8(0x20)


def delete(text: Bytes, chosen: NDArray[np.bool_]) -> Bytes:
    """The text without the chosen bytes."""
    return text[~chosen]


def transpose(text: Bytes, chosen: NDArray[np.bool_]) -> Bytes:
    """Each chosen byte exchanged with the next one; no byte moves twice."""
    first = np.flatnonzero(chosen[:-1])
    first = first[np.diff(first, prepend=-2) > 1]
    corrupted = text.copy()
    corrupted[first], corrupted[first + 1] = text[first + 1], text[first]
    return corrupted


def case_flip(text: Bytes, chosen: NDArray[np.bool_]) -> Bytes:
    """Chosen ASCII letters in the other case; other bytes unchanged."""
    lower = text | _CASE_BIT
    return np.where(chosen & (lower >= ord("a")) & (lower <= ord("z")), text ^ _CASE_BIT, text).astype(np.uint8)


CORRUPTIONS: dict[str, Callable[[Bytes, NDArray[np.bool_]], Bytes]] = {
    "delete": delete,
    "transpose": transpose,
    "case_flip": case_flip,
}


def corrupt(text: bytes, corruption: str, rate: float, seed: int) -> bytes:
    """The text with each byte chosen with probability `rate`; the same for every model with this seed."""
    chosen = np.random.default_rng(seed).random(len(text)) < rate
    return CORRUPTIONS[corruption](np.frombuffer(text, np.uint8), chosen).tobytes()
