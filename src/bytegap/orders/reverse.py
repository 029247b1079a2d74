"""From right to left: all neighbours kept, the direction of reading turned around."""

from bytegap.plugins import Options
from bytegap.windows import Keys, Symbols


def permute(symbols_BS: Symbols, keys_B: Keys, options: Options) -> Symbols:
    """The rows, their last symbol first."""
    del keys_B, options
    return symbols_BS[:, ::-1].copy()


restore = permute
