"""Symbols shuffled within windows: locality lost up to the window, kept beyond it.

By one permutation of the window for all (text is as predictable as before: a model has but to learn it), or by a fresh
one for each window, which adds log2(w!) / w bits a symbol of its own to what must be told.
"""

from functools import cache
from math import lgamma, log

import numpy as np
from pydantic import Field

from bytegap import plugins
from bytegap.orders._permutations import Places, drawn, moved, windowed
from bytegap.windows import Keys, Symbols, divides


class Options(plugins.Options):
    """How far symbols may move."""

    size: int = Field(ge=1)
    """Symbols a window; a row must be a whole number of them. 1 moves nothing, a whole row anything anywhere."""
    fresh: bool = False
    """A permutation of its own for each window."""
    seed: int = 0


def check(symbols: int, options: Options) -> None:
    """StudyError unless a row is a whole number of windows."""
    divides("windows", options.size, symbols)


def permute(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows, shuffled."""
    return moved(symbols_BS, _places(symbols_BS.shape[1], keys_B, options), back=False)


def restore(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows as they were."""
    return moved(symbols_BS, _places(symbols_BS.shape[1], keys_B, options), back=True)


def added_bits(options: Options) -> float:
    """Bits a symbol that the order itself adds at most: log2(w!) / w where windows are fresh."""
    return lgamma(options.size + 1) / log(2) / options.size if options.fresh else 0.0


def _places(symbols: int, keys_B: Keys, options: Options) -> Places:
    if not options.fresh:
        return _fixed(symbols, options.size, options.seed)
    starts = range(0, symbols, options.size)
    return np.array(
        [
            np.concatenate(
                [start + drawn(min(options.size, symbols - start), options.seed, int(key), start) for start in starts]
            )
            for key in keys_B
        ]
    )


@cache
def _fixed(symbols: int, size: int, seed: int) -> Places:
    return windowed(symbols, drawn(size, seed))
