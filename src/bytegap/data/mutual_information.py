"""Statistics of a sequence of bytes: histogram, pairs at a distance, mutual information.

N bytes, A = 256 of them; pairs (x_i, x_i+d) are counted in an (A, A) table.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ALPHABET = 256

Bytes = NDArray[np.uint8]


def distances(longest: int) -> list[int]:
    """1 to 16 each, then about eight an octave up to `longest`."""
    spread = np.geomspace(16, max(16, longest), 1 + int(8 * np.log2(max(16, longest) / 16))).round().astype(int)
    return [d for d in sorted({*range(1, 17), *spread.tolist()}) if d <= longest]


def histogram(text_N: Bytes) -> NDArray[np.int64]:
    """Count of each byte, (A,)."""
    return np.bincount(text_N, minlength=ALPHABET)


def pairs(text_N: Bytes, d: int) -> NDArray[np.int64]:
    """Count of each pair of bytes d apart, (A, A)."""
    codes = text_N[:-d].astype(np.int64) * ALPHABET + text_N[d:]
    return np.bincount(codes, minlength=ALPHABET**2).reshape(ALPHABET, ALPHABET)


def information_bits(pairs_AA: NDArray[np.int64]) -> float:
    """Plug-in mutual information of a table of N pairs, in bits; its bias is about (A - 1)^2 / 2N nats upward."""
    joint = pairs_AA / pairs_AA.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / apart[seen])).sum())


def mutual_information(text_N: Bytes, at: Sequence[int], seed: int = 0, shuffles: int = 2) -> list[float]:
    """I(d) in bits at each distance, less the estimate on shuffled bytes, which is the bias of the sample size."""
    generator = np.random.default_rng(seed)
    chance = float(np.mean([information_bits(pairs(generator.permutation(text_N), 1)) for _ in range(shuffles)]))
    return [information_bits(pairs(text_N, d)) - chance for d in at]


def overlap(one_AA: NDArray[np.int64], other_AA: NDArray[np.int64]) -> float:
    """Share of pairs that two tables have in common, sum of the smaller frequencies: 1 where they are equal."""
    return float(np.minimum(one_AA / one_AA.sum(), other_AA / other_AA.sum()).sum())
