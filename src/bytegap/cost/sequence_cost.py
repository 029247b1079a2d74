"""What one training sequence of S tokens costs a model: positions, supervised positions, attended pairs. No torch."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, sqrt


@dataclass(frozen=True)
class SequenceCost:
    """Counts for one training sequence under one objective; BOS is a position and not a token."""

    seq_len: int
    """S, tokens."""
    positions: int
    """Positions that go through the body."""
    supervised: float
    """Positions that the loss is taken at, the mean over sequences."""
    attended_pairs: float
    """(query, key) pairs that the attention pattern allows, the mean over sequences."""
    context_copies: int = 0
    """Positions that repeat the clean text only for others to attend to: a hidden second pass."""
    context_copy_pairs: int = 0
    """Attended pairs whose query is one of the copies."""


def autoregressive(seq_len: int) -> SequenceCost:
    """BOS and all tokens but the last are inputs; every token is a target."""
    return SequenceCost(seq_len, positions=seq_len, supervised=seq_len, attended_pairs=seq_len * (seq_len + 1) // 2)


def masked(seq_len: int, supervised: float | None = None) -> SequenceCost:
    """BOS and all tokens are inputs, masked or not; targets as `expected_num_masked` by default."""
    targets = expected_num_masked(seq_len) if supervised is None else supervised
    return SequenceCost(seq_len, positions=seq_len + 1, supervised=targets, attended_pairs=(seq_len + 1) ** 2)


def expected_num_masked(units: int) -> float:
    """E k, where k of S units are masked with probability sqrt(k / S) - sqrt((k - 1) / S): about S / 3."""
    return units - sum(sqrt(k / units) for k in range(units))


def block_diffusion(seq_len: int, size: int) -> SequenceCost:
    """Each block masked in part, attending to clean copies of the blocks before it.

    The last block has no clean copy: nothing attends to it.
    """
    sizes = [min(size, seq_len - start) for start in range(0, seq_len, size)]
    clean = sum(sizes[:-1])
    # A block's masked positions attend to BOS, the clean blocks before them and themselves; its clean copy alike.
    pairs = [own * (1 + sum(sizes[:number]) + own) for number, own in enumerate(sizes)]
    return SequenceCost(
        seq_len,
        positions=1 + seq_len + clean,
        supervised=sum(map(expected_num_masked, sizes)),
        attended_pairs=1 + sum(pairs) + sum(pairs[:-1]),
        context_copies=clean,
        context_copy_pairs=sum(pairs[:-1]),
    )


def span_masked(seq_len: int, length: int) -> SequenceCost:
    """`masked` with spans of `length` tokens masked together; the first is 1 to `length` long, uniformly."""
    supervised = 0.0
    for first in range(1, length + 1):
        units = 1 + ceil(max(0, seq_len - first) / length)
        supervised += seq_len * expected_num_masked(units) / units / length
    return masked(seq_len, supervised)


def hidden_patches(seq_len: int, size: int) -> SequenceCost:
    """`masked` with patches of `size` tokens hidden, the first boundary drawn uniformly.

    Positions after the first of a hidden patch attend to all open positions and to their own patch's up to themselves;
    open positions to open ones.
    """
    supervised = pairs = 0.0
    firsts = range(size) if size < seq_len else range(1)
    for first in firsts:
        cuts = [0, *range(first or size, seq_len, size), seq_len]
        later = [end - start - 1 for start, end in pairwise(cuts)]
        hidden = expected_num_masked(len(later)) / len(later)
        supervised += hidden * seq_len
        pairs += (seq_len + 1) * (seq_len + 1 - hidden * sum(later)) + hidden * sum(n * (n + 1) / 2 for n in later)
    return replace(masked(seq_len, supervised / len(firsts)), attended_pairs=pairs / len(firsts))


def streams(seq_len: int, size: int) -> SequenceCost:
    """`masked` with one target for each stream of `size` tokens that has any of k hidden tokens, k drawn as above."""
    supervised = 0.0
    for length, count in Counter(min(size, seq_len - start) for start in range(0, seq_len, size)).items():
        finished = 1.0  # the probability that none of k hidden tokens is of a stream
        for k in range(1, seq_len + 1):
            finished *= max(0, seq_len - length - k + 1) / (seq_len - k + 1)
            share = sqrt(k / seq_len) - sqrt((k - 1) / seq_len)
            supervised += share * count * (1 - finished)
    return masked(seq_len, supervised)
