"""A permutation: neighbours change places, two by two, the smallest change to locality there is."""

import numpy as np
from pydantic.dataclasses import dataclass

from bytegap.data.permutations.base import IndexPermutation, Indices
from bytegap.data.train_sequences import Keys


@dataclass(frozen=True)
class Swap(IndexPermutation):
    """Neighbours change places; `IndexPermutation` derives `permute` and `restore` from the indices."""

    def indices(self, seq_len: int, keys_B: Keys) -> Indices:
        """1, 0, 3, 2, ...; the last token of an odd sequence stays."""
        del keys_B
        indices_S = np.arange(seq_len) ^ 1
        indices_S[indices_S == seq_len] = seq_len - 1
        return indices_S
