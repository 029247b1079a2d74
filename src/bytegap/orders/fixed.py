"""One permutation of the whole row, the same for all: no locality is left, and nothing is lost."""

from functools import cache

from bytegap import plugins
from bytegap.orders._permutations import Places, drawn, moved, shortened
from bytegap.windows import Keys, Symbols

_LONGEST = 2**16  # a row, far beyond any context here


class Options(plugins.Options):
    """Which permutation."""

    seed: int = 0


def permute(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows, shuffled."""
    del keys_B
    return moved(symbols_BS, _places(symbols_BS.shape[1], options.seed), back=False)


def restore(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows as they were."""
    del keys_B
    return moved(symbols_BS, _places(symbols_BS.shape[1], options.seed), back=True)


@cache
def _places(symbols: int, seed: int) -> Places:
    """Shorter windows keep the order that their symbols have in a longer one."""
    return shortened(drawn(_LONGEST, seed), symbols)
