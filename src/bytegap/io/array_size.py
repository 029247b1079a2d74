"""Whether an array's file has its size; no numpy, so that verbs without arrays start at once."""

from pathlib import Path

from bytegap.schema.base import ArrayFile


def wrong_size(folder: Path, array: ArrayFile) -> str:
    """What is wrong with a file that is missing or does not have its length; empty if nothing is."""
    path, expected = folder / array.file, array.n_bytes
    if not path.is_file():
        return f"{path} is missing"
    found = path.stat().st_size
    return f"{path} has {found} bytes, {expected} expected" if found != expected else ""
