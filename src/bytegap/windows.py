"""Training rows and scoring windows: the same text for every arm.

A *row* is a fixed number of symbols from the document stream; an arm's row length makes rows hold `context_bytes` of
text on average. A *scoring window* is a stretch of held-out text that fits `context_bytes` and every arm's row, so all
arms are scored on identical text, all of it, each byte once. Both start with BOS, which is given, not scored; EOS
stands only where a document ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import PlanError, StudyError

ROW_TOLERANCE = 0.01  # mean bytes of a row against `context_bytes`
_CANDIDATES = 16  # ends tried at once, longest first

Symbols = NDArray[np.int64]
Keys = NDArray[np.int64]
"""Which row of the training stream, or which scoring window, each row is."""

Fits = Callable[[list[bytes], int], list[bool]]
"""Of each text, whether every arm's row holds it together with so many EOS."""


def row_symbols(context_bytes: int, bytes_per_symbol: float, name: str) -> int:
    """S, the symbols a row that hold `context_bytes` of text on average; PlanError if no whole number comes near."""

    def symbols(context: int) -> int:
        return max(1, round(context / bytes_per_symbol))

    def near(context: int) -> bool:
        return abs(symbols(context) * bytes_per_symbol / context - 1) <= ROW_TOLERANCE

    if not near(context_bytes):
        mend = next(context for context in count(context_bytes) if near(context))
        message = (
            f"[context] bytes = {context_bytes}: {symbols(context_bytes)} symbols of '{name}' hold "
            f"{symbols(context_bytes) * bytes_per_symbol:.1f} bytes, more than 1 % off: {mend} would do"
        )
        raise PlanError(message)
    return symbols(context_bytes)


def divides(what: str, size: int, symbols: int) -> None:
    """StudyError unless a row of so many symbols is a whole number of `what` of that size."""
    if symbols % size:
        divisors = [size for size in range(1, symbols + 1) if symbols % size == 0]
        near = [max(d for d in divisors if d < size), *[d for d in divisors if d > size][:1]]
        message = f"{what} of {size} do not divide a row of {symbols} symbols: {' or '.join(map(str, near))} would"
        raise StudyError(message)


class Rows:
    """Rows of one training stream; batch s is a pure function of (seed, s).

    The stream is cut into disjoint rows; each epoch visits all of them once, in an order drawn from (seed, epoch).
    """

    def __init__(self, stream: NDArray[np.generic], row_symbols: int, seed: int) -> None:
        self.row_symbols, self.seed = row_symbols, seed
        self.rows = len(stream) // row_symbols
        if not self.rows:
            message = (
                f"[context] bytes: a row is {row_symbols} symbols and the training text has only {len(stream)}: "
                "shorten the context or add text"
            )
            raise PlanError(message)
        self._rows_RS = stream[: self.rows * row_symbols].reshape(self.rows, row_symbols)
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def batch(self, step: int, rows: int) -> tuple[Symbols, Keys]:
        """The `rows` rows of batch `step`, (B, S), and which of the stream's they are, (B,)."""
        first = step * rows
        picked = np.array([self._row(index) for index in range(first, first + rows)])
        return self._rows_RS[picked].astype(np.int64), picked

    def _row(self, index: int) -> int:
        epoch, place = divmod(index, self.rows)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, epoch)).permutation(self.rows)
        return int(self._order[place])


def breaks(document: bytes) -> NDArray[np.int64]:
    """Offsets at which a document may be cut: after each code point, after each byte that belongs to none."""
    points = np.frombuffer(document.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    widths[(points >= 0xDC80) & (points <= 0xDCFF)] = 1  # surrogateescape's stand-ins for stray bytes
    return np.cumsum(widths)


def cut(document: bytes, context_bytes: int, fits: Fits) -> Iterator[int]:
    """Ends of the scoring windows of a document: each the longest that is within `context_bytes` and `fits`."""
    allowed = breaks(document)
    start = 0
    while start < len(document):
        low = int(np.searchsorted(allowed, start, "right"))
        high = int(np.searchsorted(allowed, start + context_bytes, "right"))
        start = _longest(document, start, allowed[low:high], fits)
        yield start


def _longest(
    document: bytes,
    start: int,
    ends: NDArray[np.int64],
    fits: Fits,
) -> int:
    remaining = [int(end) for end in ends[::-1]]
    if remaining[0] == len(document):
        if fits([document[start:]], 1)[0]:
            return len(document)
        remaining = remaining[1:]
    for first in range(0, len(remaining), _CANDIDATES):
        tried = remaining[first : first + _CANDIDATES]
        for end, fit in zip(tried, fits([document[start:end] for end in tried], 0), strict=True):
            if fit:
                return end
    message = (
        f"[context] bytes: not even one character of the text fits every arm's row (near byte {start} of a "
        "held-out document): lengthen the context"
    )
    raise PlanError(message)


def row_lengths(symbols: int, row: int) -> list[int]:
    """How long the rows are that a text of so many symbols fills: all of `row`, but the last."""
    return [min(row, symbols - start) for start in range(0, symbols, row)]


def begins(symbols: NDArray[np.int64], lengths: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Over the bytes of symbols end to end, EOS counted as one: whether a symbol begins there."""
    widths = np.append(lengths, 1).astype(np.int64)[symbols]
    flags = np.zeros(int(widths.sum()), bool)
    flags[np.cumsum(widths) - widths] = True
    return flags


@dataclass(frozen=True)
class Windows:
    """The scoring windows of a split as one arm's symbols."""

    symbols: NDArray[np.generic]
    counts: NDArray[np.generic]
    bytes: int
    sha256: str

    def by_length(self) -> Iterator[tuple[NDArray[np.int64], Symbols]]:
        """Windows of equal length together, so that nothing is padded: (their indices, their symbols (n, S))."""
        counts = self.counts.astype(np.int64)
        ends = np.cumsum(counts)
        for length in sorted(set(map(int, counts))):
            which = np.flatnonzero(counts == length)
            where = (ends[which] - length)[:, None] + np.arange(length)
            yield which, self.symbols[where].astype(np.int64)
