"""Write the Python source of the standard library as JSON lines, a file a row: about 12 MB.

    python corpora/python_source.py out/corpora/python.jsonl

The library is that of the Python that runs this, without tests, generated tables and what is installed besides; the
text therefore changes with Python's version, which is printed with the text's SHA-256. A study's corpus manifest has
the checksums of its own text.
"""

import hashlib
import json
import platform
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "encodings", "pydoc_data", "__pycache__"}
"""Folders: what is not the library, and what is not written by hand."""


def sources() -> Iterator[tuple[str, str]]:
    """(path, text) of each file that is UTF-8 and not empty, by path."""
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.rglob("*.py")):
        name = file.relative_to(library)
        if LEFT_OUT.isdisjoint(name.parts) and not file.is_symlink():
            try:
                text = file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            if text.strip():
                yield name.as_posix(), text


def main(target: Path) -> None:
    """Write the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    checksum, documents, n_bytes = hashlib.sha256(), 0, 0
    building = target.with_suffix(".part")
    with building.open("wb") as out:
        for name, text in sources():
            line = json.dumps({"source": name, "text": text}, ensure_ascii=False).encode() + b"\n"
            out.write(line)
            checksum.update(line)
            documents, n_bytes = documents + 1, n_bytes + len(text.encode())
    building.replace(target)
    print(f"Python {platform.python_version()}: {documents:,} documents, {n_bytes:,} bytes")
    print(f"{target}: sha256 {checksum.hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
