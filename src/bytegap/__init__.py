"""What it costs to drop the tokenizer, and the causal order: compute-matched studies in bits per byte."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["load_runs"]


def load_runs(path: str | Path) -> "pl.DataFrame":
    """The runs of a study as a polars data frame: `path` is its folder or its `runs.jsonl` (docs/runs.md)."""
    from bytegap import frame

    return frame.load_runs(path)
