"""Right to left: all neighbours are kept, the direction of reading is reversed."""

from pydantic.dataclasses import dataclass

from bytegap.data.permutations.base import Permutation
from bytegap.data.train_sequences import Keys, Tokens


@dataclass(frozen=True)
class Reverse(Permutation):
    """The reversal of a sequence: its last token comes first."""

    def permute(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The sequences, reversed."""
        del keys_B
        return tokens_BS[:, ::-1].copy()

    def restore(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The inverse, which is the same."""
        return self.permute(tokens_BS, keys_B)
