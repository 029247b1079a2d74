"""Scoring windows: stretches of held-out text, the same text for every arm.

A window fits `context_bytes` and every arm's sequence length, so that all arms are scored on identical text, all of it,
each byte once.
A window starts with BOS, which is given and not scored; EOS stands only where a document ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bytegap.data.train_sequences import Tokens
from bytegap.errors import PlanError

_CANDIDATES = 16  # window ends tried at once, longest first

Fits = Callable[[list[bytes], int], list[bool]]
"""(texts, EOS tokens): for each text, whether it fits every arm's sequence together with so many EOS."""


def code_point_ends(document: bytes) -> NDArray[np.int64]:
    """Offsets at which a document may be cut: after each code point, and after each byte that is not valid UTF-8."""
    points = np.frombuffer(document.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    widths[(points >= 0xDC80) & (points <= 0xDCFF)] = 1  # surrogateescape stands for one stray byte
    return np.cumsum(widths)


def window_ends(document: bytes, context_bytes: int, fits: Fits) -> Iterator[int]:
    """Byte offset at which each window of a document ends: the longest within `context_bytes` that `fits`."""
    allowed = code_point_ends(document)
    start = 0
    while start < len(document):
        low = int(np.searchsorted(allowed, start, "right"))
        high = int(np.searchsorted(allowed, start + context_bytes, "right"))
        start = _longest(document, start, allowed[low:high], fits)
        yield start


def _longest(document: bytes, start: int, ends: NDArray[np.int64], fits: Fits) -> int:
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
    raise PlanError(
        f"[context] bytes: not even one character of the text fits every arm's sequence (near byte {start} of a "
        "held-out document): lengthen the context"
    )


def chunk_lengths(n_tokens: int, seq_len: int) -> list[int]:
    """Lengths of the sequences that `n_tokens` fill: `seq_len` each, but the last."""
    return [min(seq_len, n_tokens - start) for start in range(0, n_tokens, seq_len)]


def token_starts(tokens: NDArray[np.int64], lengths: NDArray[np.generic]) -> NDArray[np.bool_]:
    """For each byte of a stream of tokens, EOS counted as one byte: whether a token begins there.

    `lengths` has the bytes of each of the V tokens.
    """
    widths = np.append(lengths, 1).astype(np.int64)[tokens]
    flags = np.zeros(int(widths.sum()), bool)
    flags[np.cumsum(widths) - widths] = True
    return flags


@dataclass(frozen=True)
class Windows:
    """The scoring windows of a split as one tokenizer's tokens, window after window."""

    tokens: NDArray[np.generic]
    counts: NDArray[np.generic]
    """Tokens in each window."""
    bytes: int
    """Raw bytes of all windows."""
    sha256: str
    """Checksum of the windows' text and ends, equal for all tokenizers."""

    def by_length(self) -> Iterator[tuple[NDArray[np.int64], Tokens]]:
        """Windows of equal length together, so that nothing is padded: (their indices (n,), their tokens (n, S))."""
        counts = self.counts.astype(np.int64)
        ends = np.cumsum(counts)
        for length in sorted(set(map(int, counts))):
            indices = np.flatnonzero(counts == length)
            offsets = (ends[indices] - length)[:, None] + np.arange(length)
            yield indices, self.tokens[offsets].astype(np.int64)
