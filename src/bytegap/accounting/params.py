"""Parameters by group. The convention of every N here is *non-embedding*: neither the embedding nor the head."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameters:
    """A model's parameters, counted; the groups add up to all of them."""

    embedding: int
    head: int
    non_embedding: int

    @property
    def total(self) -> int:
        """Every parameter, each once."""
        return self.embedding + self.head + self.non_embedding
