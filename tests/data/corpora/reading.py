"""Read files as the corpus `files` does, and the sentence of what it refuses."""

import json
from pathlib import Path

import pytest

from bytegap.data.corpora.files import Files
from bytegap.errors import CorpusError

TEXTS = ["plain", "two\nlines", "Gruß \u2581 水 😀", "nul \x00", " spaces "]
JSONL = "".join(json.dumps({"text": text, "id": i}) + "\n" for i, text in enumerate(TEXTS)).encode()


def read(*paths: Path | str, **options: str) -> list[bytes]:
    return list(Files(paths=[str(path) for path in paths], **options).documents())


def error_of(*paths: Path | str, **options: str) -> str:
    with pytest.raises(CorpusError) as caught:
        read(*paths, **options)
    return str(caught.value)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
