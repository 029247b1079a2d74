"""The order in which text was written: nothing is moved."""

from bytegap.plugins import Options
from bytegap.windows import Symbols


def permute(symbols_BS: Symbols, options: Options) -> Symbols:
    """The rows as they are."""
    del options
    return symbols_BS


restore = permute
