"""One random permutation of the sequence, the same for all: no locality is left, and no information is lost."""

from functools import cache

from pydantic.dataclasses import dataclass

from bytegap.data.permutations.base import IndexPermutation, Indices, random_permutation, truncated
from bytegap.data.train_sequences import Keys

_MAX_SEQ_LEN = 2**16  # far beyond any context here


@dataclass(frozen=True)
class Fixed(IndexPermutation):
    """A permutation of the sequence, drawn once."""

    seed: int = 0

    def indices(self, seq_len: int, keys_B: Keys) -> Indices:
        """(S,); shorter sequences keep the relative order that their tokens have in a longer one."""
        del keys_B
        return _indices(seq_len, self.seed)


@cache
def _indices(seq_len: int, seed: int) -> Indices:
    return truncated(random_permutation(_MAX_SEQ_LEN, seed), seq_len)
