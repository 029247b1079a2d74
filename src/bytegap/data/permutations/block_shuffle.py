"""Blocks of tokens shuffled, each kept intact: locality is kept up to the block's size and lost beyond it."""

from functools import cache

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.data.permutations.base import IndexPermutation, Indices, random_permutation, truncated
from bytegap.data.train_sequences import Keys, check_divides

_MAX_BLOCKS = 2**14  # in a sequence; far beyond any context here


@dataclass(frozen=True)
class BlockShuffle(IndexPermutation):
    """A permutation of the blocks of a sequence, whose tokens stay together."""

    size: int = Field(ge=1)
    """Tokens in a block; it must divide the sequence."""
    per_sequence: bool = False
    """Whether each sequence has a permutation of its own."""
    seed: int = 0

    def check(self, seq_len: int) -> None:
        """StudyError unless blocks divide the sequence."""
        check_divides("blocks", self.size, seq_len)

    def indices(self, seq_len: int, keys_B: Keys) -> Indices:
        """(S,), or (B, S) where sequences have their own."""
        if not self.per_sequence:
            return _shared(seq_len, self.size, self.seed)
        blocks = -(-seq_len // self.size)
        orders = [random_permutation(blocks, self.seed, int(key)) for key in keys_B]
        return np.array([_of_tokens(order, seq_len, self.size) for order in orders])


@cache
def _shared(seq_len: int, size: int, seed: int) -> Indices:
    """One permutation for all; a shorter sequence keeps the relative order of its blocks."""
    return _of_tokens(truncated(random_permutation(_MAX_BLOCKS, seed), -(-seq_len // size)), seq_len, size)


def _of_tokens(blocks: Indices, seq_len: int, size: int) -> Indices:
    """Indices of tokens from indices of blocks; the last block may be shorter."""
    indices = (blocks[:, None] * size + np.arange(size)).reshape(-1)
    return indices[indices < seq_len]
