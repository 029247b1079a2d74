"""What a symbol set's unigram and bigram reach on the scoring windows, and what knowing the symbol count is worth.

The floors under which a trained model has learnt nothing from context.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 24  # symbols of the stream counted at once

Array = NDArray[np.generic]


def unigram(stream: Array, outcomes: int) -> NDArray[np.float64]:
    """Add-one estimate from the training stream, (outcomes,)."""
    counts = np.ones(outcomes)
    for chunk in _chunks(stream, overlap=0):
        counts += np.bincount(chunk, minlength=outcomes)
    return counts / counts.sum()


def unigram_nats(stream: Array, symbols: Array, outcomes: int) -> float:
    """Nats of the windows' symbols, each alone."""
    return float(-np.log(unigram(stream, outcomes)[symbols.astype(np.int64)]).sum())


def bigram_nats(stream: Array, symbols: Array, counts: Array, outcomes: int) -> float:
    """Nats of the windows, each symbol given the one before, a window's first given nothing.

    Interpolated as in Witten and Bell (1991): p(y|x) = (c(x,y) + T(x) p(y)) / (c(x) + T(x)), T(x) the number of
    different symbols seen after x.
    """
    alone = unigram(stream, outcomes)
    pairs, pair_counts = _pairs(stream, outcomes)
    first = pairs // outcomes
    followed = np.bincount(first, weights=pair_counts, minlength=outcomes)
    different = np.bincount(first, minlength=outcomes)

    y = symbols.astype(np.int64)
    x = np.concatenate(([0], y[:-1]))
    key = x * outcomes + y
    place = np.minimum(np.searchsorted(pairs, key), len(pairs) - 1)
    seen = np.where(pairs[place] == key, pair_counts[place], 0)
    total = followed[x] + different[x]
    # After a symbol that training never followed with another, the unigram is all there is.
    p = np.where(total > 0, (seen + different[x] * alone[y]) / np.maximum(total, 1), alone[y])
    starts = np.concatenate(([0], np.cumsum(counts.astype(np.int64))[:-1]))
    p[starts] = alone[y[starts]]
    return float(-np.log(p).sum())


def count_entropy_bits(symbol_counts: Array, byte_counts: Array) -> float:
    """H(S | bytes) in bits a window, plug-in with the Miller-Madow correction (Miller 1955)."""
    pairs, n_pairs = np.unique(np.stack([byte_counts, symbol_counts]), axis=1, return_counts=True)
    n_bytes = {int(b): int(n_pairs[pairs[0] == b].sum()) for b in np.unique(pairs[0])}
    given = np.array([n_bytes[int(b)] for b in pairs[0]])
    windows = int(n_pairs.sum())
    plug_in = -(n_pairs / windows * np.log2(n_pairs / given)).sum()
    return float(plug_in + (pairs.shape[1] - len(n_bytes)) / (2 * windows * np.log(2)))


def _pairs(stream: Array, outcomes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every pair seen, as x * outcomes + y in ascending order, and how often."""
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for chunk in _chunks(stream, overlap=1):
        new_keys, new_counts = np.unique(chunk[:-1] * outcomes + chunk[1:], return_counts=True)
        merged, where = np.unique(np.concatenate((keys, new_keys)), return_inverse=True)
        counts = np.bincount(where, weights=np.concatenate((counts, new_counts))).astype(np.int64)
        keys = merged
    return keys, counts


def _chunks(stream: Array, overlap: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(stream), _CHUNK):
        yield stream[start : start + _CHUNK + overlap].astype(np.int64)
