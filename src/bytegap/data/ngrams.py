"""Unigram and bigram baselines on the scoring windows, and what knowing the token count is worth.

A trained model that is not below its unigram has learned nothing from context.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import cast

import numpy as np
from numpy.typing import NDArray

_DENSE_OUTCOMES = 2500  # up to here every pair has a counter; beyond, only those that are seen

Array = NDArray[np.generic]


class NgramCounts:
    """Counts of a training stream's tokens and adjacent pairs, and the nats of windows under them."""

    def __init__(self, pieces: Iterable[Array], outcomes: int) -> None:
        """Count a stream in pieces, best of `piece_length(outcomes)` tokens; `outcomes` counts possible tokens."""
        self._outcomes = outcomes
        pieces = iter(pieces)
        first_piece = next(pieces)
        self._pairs, self._pair_counts = _pairs(chain([first_piece], pieces), outcomes)
        first, second = np.divmod(self._pairs, outcomes)
        counts = 1 + np.bincount(second, weights=self._pair_counts, minlength=outcomes)
        counts[first_piece[:1].astype(np.int64)] += 1
        self._alone = counts / counts.sum()
        self._followed = np.bincount(first, weights=self._pair_counts, minlength=outcomes)
        self._different = np.bincount(first, minlength=outcomes)

    def unigram_nats(self, tokens: Array) -> float:
        """Nats of the windows' tokens under the add-one unigram."""
        return float(-np.log(self._alone[tokens.astype(np.int64)]).sum())

    def bigram_nats(self, tokens: Array, counts: Array) -> float:
        """Nats of the windows under the bigram, a window's first token under the unigram.

        Interpolated as in Witten and Bell (1991): p(y|x) = (c(x,y) + T(x) p(y)) / (c(x) + T(x)), T(x) the number of
        different tokens seen after x.
        """
        y = tokens.astype(np.int64)
        x = np.concatenate(([0], y[:-1]))
        key = x * self._outcomes + y
        index = np.minimum(np.searchsorted(self._pairs, key), len(self._pairs) - 1)
        seen = np.where(self._pairs[index] == key, self._pair_counts[index], 0)
        alone, different = self._alone[y], self._different[x]
        total = self._followed[x] + different
        # After a token that had no successor in training, the unigram is all there is.
        interpolated = (seen + different * alone) / np.maximum(total, 1)
        p = cast("NDArray[np.float64]", np.where(total > 0, interpolated, alone))
        starts = np.concatenate(([0], np.cumsum(counts.astype(np.int64))[:-1]))
        p[starts] = alone[starts]
        return float(-np.log(p).sum())


def count_entropy_bits(token_counts: Array, byte_counts: Array) -> float:
    """H(token count | byte count) in bits per window, plug-in with the Miller-Madow correction (Miller 1955)."""
    pairs, n_pairs = np.unique(np.stack([byte_counts, token_counts]), axis=1, return_counts=True)
    n_bytes = {int(b): int(n_pairs[pairs[0] == b].sum()) for b in np.unique(pairs[0])}
    given = np.array([n_bytes[int(b)] for b in pairs[0]])
    windows = int(n_pairs.sum())
    plug_in = -(n_pairs / windows * np.log2(n_pairs / given)).sum()
    return float(plug_in + (pairs.shape[1] - len(n_bytes)) / (2 * windows * np.log(2)))


def piece_length(outcomes: int) -> int:
    """Tokens to count at once: few enough for the cache, at least as many as there are counters to add up."""
    return max(1 << 18, outcomes**2) if outcomes <= _DENSE_OUTCOMES else 1 << 22


def _pairs(pieces: Iterable[Array], outcomes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every pair seen, as x * outcomes + y in ascending order, and how often."""
    if outcomes <= _DENSE_OUTCOMES:
        dense = np.zeros(outcomes**2, np.int64)
        for chunk in _keys(pieces, outcomes):
            dense += np.bincount(chunk, minlength=outcomes**2)
        keys = np.flatnonzero(dense)
        return keys, dense[keys]
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for chunk in _keys(pieces, outcomes):
        new_keys, new_counts = np.unique(chunk, return_counts=True)
        merged, where = np.unique(np.concatenate((keys, new_keys)), return_inverse=True)
        counts = np.bincount(where, weights=np.concatenate((counts, new_counts))).astype(np.int64)
        keys = merged
    return keys, counts


def _keys(pieces: Iterable[Array], outcomes: int) -> Iterator[NDArray[np.int64]]:
    """The code x * outcomes + y of all adjacent tokens x, y, across pieces too."""
    last = np.empty(0, np.int64)
    for piece in pieces:
        chunk = np.concatenate((last, piece), dtype=np.int64)
        yield chunk[:-1] * outcomes + chunk[1:]
        last = chunk[-1:]
