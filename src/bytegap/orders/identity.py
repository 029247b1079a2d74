"""The order in which text was written: nothing is moved."""

from bytegap.plugins import Options
from bytegap.windows import Keys, Symbols


def permute(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows as they are."""
    del keys_B, options
    return symbols_BS


restore = permute
