"""Blocks of symbols, whole, in a changed order: locality kept up to the block, lost beyond it."""

from functools import cache

import numpy as np
from pydantic import Field

from bytegap import plugins
from bytegap.orders._permutations import Places, drawn, moved, shortened
from bytegap.windows import Keys, Symbols, divides


class Options(plugins.Options):
    """How much stays together."""

    size: int = Field(ge=1)
    """Symbols a block; a row must be a whole number of them."""
    fresh: bool = False
    """An order of its own for each row."""
    seed: int = 0


def check(symbols: int, options: Options) -> None:
    """StudyError unless a row is a whole number of blocks."""
    divides("blocks", options.size, symbols)


def permute(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows, their blocks shuffled."""
    return moved(symbols_BS, _places(symbols_BS.shape[1], keys_B, options), back=False)


def restore(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows as they were."""
    return moved(symbols_BS, _places(symbols_BS.shape[1], keys_B, options), back=True)


def _places(symbols: int, keys_B: Keys, options: Options) -> Places:
    if not options.fresh:
        return _fixed(symbols, options.size, options.seed)
    blocks = -(-symbols // options.size)
    return np.array([_spread(drawn(blocks, options.seed, int(key)), symbols, options.size) for key in keys_B])


@cache
def _fixed(symbols: int, size: int, seed: int) -> Places:
    """One order of as many blocks as there are, the first of a longer one's."""
    return _spread(shortened(drawn(_MOST_BLOCKS, seed), -(-symbols // size)), symbols, size)


def _spread(order: Places, symbols: int, size: int) -> Places:
    """Places of symbols from places of blocks, the last block as long as it is."""
    places = (order[:, None] * size + np.arange(size)).reshape(-1)
    return places[places < symbols]


_MOST_BLOCKS = 2**14  # of a row: far beyond any context here
