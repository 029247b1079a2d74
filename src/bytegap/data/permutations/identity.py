"""The order in which text was written."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from bytegap.data.permutations.base import Permutation
from bytegap.data.train_sequences import Keys, Tokens


@dataclass(frozen=True)
class Identity(Permutation):
    """The permutation that moves no token."""

    is_identity: ClassVar[bool] = True

    def permute(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The sequences as they are."""
        del keys_B
        return tokens_BS

    def restore(self, tokens_BS: Tokens, keys_B: Keys) -> Tokens:
        """The sequences as they are."""
        del keys_B
        return tokens_BS
