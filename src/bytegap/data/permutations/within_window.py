"""Tokens shuffled within windows: locality is lost up to the window's size and kept beyond it.

One permutation may serve all windows: the text is as predictable as before, once the model has learned it.
Or each window has its own, which adds log2(W!) / W bits per token to what must be predicted.
"""

from functools import cache
from math import lgamma, log

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.data.permutations.base import IndexPermutation, Indices, random_permutation, repeat_window
from bytegap.data.train_sequences import Keys, check_divides


@dataclass(frozen=True)
class WithinWindow(IndexPermutation):
    """A permutation within every window of `size` tokens."""

    size: int = Field(ge=1)
    """W, tokens in a window; it must divide the sequence. 1 moves nothing, S moves any token anywhere."""
    per_sequence: bool = False
    """Whether each window of each sequence has a permutation of its own."""
    seed: int = 0

    def check(self, seq_len: int) -> None:
        """StudyError unless windows divide the sequence."""
        check_divides("windows", self.size, seq_len)

    def added_bits(self) -> float:
        """log2(W!) / W bits per token where each window has its own permutation."""
        return lgamma(self.size + 1) / log(2) / self.size if self.per_sequence else 0.0

    def indices(self, seq_len: int, keys_B: Keys) -> Indices:
        """(S,), or (B, S) where windows have their own."""
        if not self.per_sequence:
            return _shared(seq_len, self.size, self.seed)
        return np.array([self._of_sequence(seq_len, int(key)) for key in keys_B])

    def _of_sequence(self, seq_len: int, key: int) -> Indices:
        starts = range(0, seq_len, self.size)
        windows = [
            start + random_permutation(min(self.size, seq_len - start), self.seed, key, start) for start in starts
        ]
        return np.concatenate(windows)


@cache
def _shared(seq_len: int, size: int, seed: int) -> Indices:
    return repeat_window(seq_len, random_permutation(size, seed))
