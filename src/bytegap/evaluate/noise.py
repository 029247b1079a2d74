"""Text as it is spoilt in the wild: bytes dropped, neighbours swapped, letters of the other case."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
_CASE = np.uint8(0x20)


def dropped(text: Bytes, hit: NDArray[np.bool_]) -> Bytes:
    """Without the bytes that are hit."""
    return text[~hit]


def swapped(text: Bytes, hit: NDArray[np.bool_]) -> Bytes:
    """Each byte that is hit in the place of the next, and the next in its; no byte moves twice."""
    first = np.flatnonzero(hit[:-1])
    first = first[np.diff(first, prepend=-2) > 1]
    spoilt = text.copy()
    spoilt[first], spoilt[first + 1] = text[first + 1], text[first]
    return spoilt


def recased(text: Bytes, hit: NDArray[np.bool_]) -> Bytes:
    """ASCII letters that are hit in the other case."""
    lower = text | _CASE
    return np.where(hit & (lower >= ord("a")) & (lower <= ord("z")), text ^ _CASE, text).astype(np.uint8)


WAYS: dict[str, Callable[[Bytes, NDArray[np.bool_]], Bytes]] = {
    "dropped": dropped,
    "swapped": swapped,
    "recased": recased,
}


def spoilt(text: bytes, way: str, rate: float, seed: int) -> bytes:
    """The text, each byte hit with probability `rate`; the same for every model that is asked."""
    hit = np.random.default_rng(seed).random(len(text)) < rate
    return WAYS[way](np.frombuffer(text, np.uint8), hit).tobytes()
