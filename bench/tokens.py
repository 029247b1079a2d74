"""Text into symbols: bytes in MB/s, BPE against `tokenizers.encode_batch` alone, and memory over a large corpus.

    python bench/tokens.py FILE.jsonl [--megabytes 1000]

FILE is text to repeat, such as `corpora/english.py` writes. Each documents' copy gets a number, lest it be dropped as a
duplicate.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from pathlib import Path

import tokenizers

from bytegap import plugins
from bytegap import study as study_file
from bytegap.corpus import stage as corpus
from bytegap.store import Folder
from bytegap.tokens import stage as tokens
from results import Row, interleaved, write

STUDY = """\
name = "bench"
[corpus]
source = "files"
paths = ["{text}"]
validation = 0.0005
test = 0.0005
[context]
bytes = 128
[tokens.byte]
kind = "bytes"
[arms.byte-ar]
tokens = "byte"
objective = "ar"
budgets = [1e10]
"""
BPE = {"vocabulary": 2048}
BATCH_BYTES = 1 << 22


def main() -> None:
    """Measure, and write bench/results/tokens.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--megabytes", type=int, default=1000)
    asked = parser.parse_args()
    documents = [json.loads(line)["text"] for line in asked.file.read_text(encoding="utf-8").splitlines()]
    rows = bpe(documents)
    with tempfile.TemporaryDirectory() as folder:
        rows += large(documents, asked.megabytes * 10**6, Path(folder))
    write("tokens", "Text into symbols", rows)


def bpe(documents: list[str]) -> list[Row]:
    """Ours and the library alone, on the same text, taking turns."""
    texts, size = [], 0
    while size < BATCH_BYTES and len(texts) < len(documents):
        texts.append(documents[len(texts)])
        size += len(texts[-1].encode())
    kind = plugins.load("tokens", "bpe")
    with tempfile.TemporaryDirectory() as folder:
        ours = kind.prepare(kind.Options(**BPE), (text.encode() for text in documents), Path(folder))
        theirs = tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    raw = [text.encode() for text in texts]
    times = interleaved(
        {
            "bytegap": lambda: ours.encode_batch(raw),
            "encode_batch and its ids": lambda: [encoding.ids for encoding in theirs.encode_batch(texts)],
        },
        5,
    )
    shared = {"text, MB": size / 1e6}
    return [
        {"what": f"BPE-{BPE['vocabulary']}: {name}", "s": seconds, "MB/s": size / 1e6 / seconds} | shared
        for name, seconds in times.items()
    ]


def large(documents: list[str], size: int, folder: Path) -> list[Row]:
    """A corpus of `size` bytes read, split and turned into bytes, and the memory that took."""
    with (folder / "text.jsonl").open("w", encoding="utf-8") as out:
        written = 0
        for number, document in enumerate(cycle(documents)):
            text = f"{number} {document}"
            out.write(json.dumps({"text": text}) + "\n")
            written += len(text.encode())
            if written >= size:
                break
    (folder / "study.toml").write_text(STUDY.format(text=folder / "text.jsonl"), encoding="utf-8")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # whose memory is the stages' alone
        times, peak_mb = pool.submit(staged, folder).result()
    return [
        {
            "what": name,
            "s": seconds,
            "MB/s": written / 1e6 / seconds,
            "text, MB": written / 1e6,
            "peak memory, MB": peak_mb,
        }
        for name, seconds in times.items()
    ]


def staged(folder: Path) -> tuple[dict[str, float], float]:
    """Seconds of either stage; peak resident memory in MB."""
    study, place = study_file.load(folder / "study.toml"), Folder(folder / "out")
    for name in ("bytes", "bpe"):  # a second of imports, whatever the size
        plugins.load("tokens", name)
    steps = {
        "corpus read and split": lambda: corpus.run(study, place),
        "bytes as symbols": lambda: tokens.symbols_of("byte", study, place),
        "their counts, and scoring windows": lambda: tokens.run(study, place),
    }
    times = {}
    for name, step in steps.items():
        start = time.perf_counter()
        step()
        times[name] = time.perf_counter() - start
    return times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
