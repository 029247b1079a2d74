"""Parameters by group; N is always *non-embedding*: neither the embedding nor the head."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameters:
    """Parameter counts of a model; the groups add up to all of them."""

    embedding: int
    head: int
    non_embedding: int

    @property
    def total(self) -> int:
        """All parameters, each counted once."""
        return self.embedding + self.head + self.non_embedding
