"""Token ids of a model: the V tokens of its tokenizer, then EOS, BOS and MASK."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """The special ids beyond the V tokens of a tokenizer."""

    vocab_size: int
    """V, tokens that stand for text."""

    @classmethod
    def from_n_ids(cls, n_ids: int) -> "Vocabulary":
        """The vocabulary of one of our models, whose embedding has `n_ids` rows."""
        return cls(n_ids - 3)

    @property
    def eos(self) -> int:
        """Ends a document; scored, zero bytes."""
        return self.vocab_size

    @property
    def bos(self) -> int:
        """Starts every sequence; given, never scored."""
        return self.vocab_size + 1

    @property
    def mask(self) -> int:
        """Replaces a hidden token: the absorbing state of masked diffusion."""
        return self.vocab_size + 2

    @property
    def n_ids(self) -> int:
        """Rows of the embedding and of the head, the same for every arm."""
        return self.vocab_size + 3
