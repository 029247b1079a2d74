"""Disk space that the runs of a plan need. No torch."""

from collections.abc import Iterable

BYTES_PER_WEIGHT = 4
CHECKPOINT_TENSORS = 3
"""A checkpoint has the weights and Adam's two moments of each."""
CHECKPOINTS = 3
"""Of a run in progress: the last, the one before it, and the next one while it is written."""


def training_disk_bytes(parameters: Iterable[int], workers: int) -> int:
    """The most disk space that training needs, for runs of so many parameters each (embedding and head included).

    Every run leaves its weights; `workers` runs at a time have checkpoints as well, at worst the largest ones.
    """
    largest_first = sorted(parameters, reverse=True)
    checkpoints = CHECKPOINTS * CHECKPOINT_TENSORS * sum(largest_first[:workers])
    return BYTES_PER_WEIGHT * (sum(largest_first) + checkpoints)
