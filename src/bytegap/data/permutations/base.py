"""The interface of a permutation of tokens, and index arithmetic that permutations share.

B sequences, S tokens a sequence, W tokens a window.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bytegap.data.train_sequences import Keys, Tokens
from bytegap.study.registry import Part, build

Indices = NDArray[np.int64]
"""(S,) for all sequences, or (B, S): which token of a sequence goes where."""


class Permutation(Part, ABC):
    """A reordering of the tokens of each sequence, before training and scoring; lossless."""

    kind: ClassVar[str] = "permutation"
    is_identity: ClassVar[bool] = False
    """Whether tokens stay where they are."""

    @abstractmethod
    def permute(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The sequences, permuted; `keys_B` identifies each one, for permutations that differ between sequences."""

    @abstractmethod
    def restore(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The inverse of `permute`."""

    def check(self, seq_len: int) -> None:
        """StudyError where sequences of `seq_len` tokens cannot be permuted so."""

    def added_bits(self) -> float:
        """Bits per token that the permutation itself adds at most; 0 where it is the same for all sequences."""
        return 0.0


class IndexPermutation(Permutation):
    """A permutation that is given by indices."""

    @abstractmethod
    def indices(self, seq_len: int, keys_B: Keys) -> Indices:
        """Which token goes where, (S,) or (B, S)."""

    def permute(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The sequences, permuted."""
        indices = np.broadcast_to(self.indices(tokens_BS.shape[1], keys_B), tokens_BS.shape)
        return np.take_along_axis(tokens_BS, indices, axis=1)

    def restore(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The inverse of `permute`."""
        inverse = np.argsort(self.indices(tokens_BS.shape[1], keys_B), axis=-1)
        return np.take_along_axis(tokens_BS, np.broadcast_to(inverse, tokens_BS.shape), axis=1)


def permutation(name: str, options: Mapping[str, object] | None = None) -> Permutation:
    """The permutation called `name`; StudyError where there is none or an option is wrong."""
    return build(Permutation, name, options or {})


def random_permutation(length: int, *key: int) -> Indices:
    """A permutation of 0 to length - 1 that depends on `key` alone."""
    return np.random.default_rng(list(key)).permutation(length)


def truncated(indices: Indices, length: int) -> Indices:
    """The permutation of the first `length` tokens that keeps their relative order."""
    return indices[indices < length]


def repeat_window(seq_len: int, window_W: Indices) -> Indices:
    """Every window of a sequence permuted alike; the last window may be shorter."""
    size = len(window_W)
    starts = range(0, seq_len, size)
    return np.concatenate([start + truncated(window_W, min(size, seq_len - start)) for start in starts])
