"""Permutations drawn from a seed, and applied to rows of any length. B rows, S symbols a row, W symbols a window."""

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def drawn(length: int, *key: int) -> Places:
    """A permutation of 0 to length - 1, a pure function of the key."""
    return np.random.default_rng(list(key)).permutation(length)


def shortened(places: Places, length: int) -> Places:
    """The same order among the first `length` alone: what a window at the end of a text is left with."""
    return places[places < length]


def windowed(symbols: int, window: Places) -> Places:
    """Each window of a row in the same order, the last one as far as it goes."""
    size = len(window)
    starts = range(0, symbols, size)
    return np.concatenate([start + shortened(window, min(size, symbols - start)) for start in starts])


def moved(symbols_BS: NDArray[np.int64], places: Places, *, back: bool) -> NDArray[np.int64]:
    """Every row in that order, `places` (S,) or (B, S); or put back from it."""
    places_BS = np.broadcast_to(np.argsort(places, axis=-1) if back else places, symbols_BS.shape)
    return np.take_along_axis(symbols_BS, places_BS, axis=1)
