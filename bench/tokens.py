"""Text into symbols: bytes in MB/s, BPE against `tokenizers.encode_batch` alone, and memory over a large corpus.

    python bench/tokens.py FILE.jsonl [--megabytes 1000]

FILE is text to repeat, such as `corpora/english.py` writes. Each documents' copy gets a number, lest it be dropped as a
duplicate.
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from pathlib import Path
from statistics import median

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
ROUNDS = 5


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
    """Seconds of either stage, and peak memory in MB.

    Symbols are made several times: a first one, and a median beside what writing as long a file takes.
    """
    study, place = study_file.load(folder / "study.toml"), Folder(folder / "out")
    for name in ("bytes", "bpe"):  # a second of imports, whatever the size
        plugins.load("tokens", name)
    stream, plain = place.tokens_of("byte") / "train.sym", folder / "plain"

    def encode() -> None:
        tokens.symbols_of("byte", study, place)

    def write_alone() -> None:
        piece = bytes(BATCH_BYTES)
        with plain.open("wb") as out:
            for _ in range(stream.stat().st_size // BATCH_BYTES):
                out.write(piece)

    times = {"corpus read and split": seconds_of(lambda: corpus.run(study, place))}
    rounds = []
    for _ in range(ROUNDS):  # what is deleted between them is written again into memory that the machine has touched
        shutil.rmtree(place.tokens_of("byte"), ignore_errors=True)
        plain.unlink(missing_ok=True)
        rounds.append((seconds_of(encode), seconds_of(write_alone)))
    ours, alone = zip(*rounds, strict=True)
    times["bytes as symbols, memory never touched before"] = ours[0]
    times["bytes as symbols"] = median(ours)
    times["a file as long as theirs, written alone"] = median(alone)
    times["their counts, and scoring windows"] = seconds_of(lambda: tokens.run(study, place))
    return times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def seconds_of(action: Callable[[], object]) -> float:
    """How long it takes, once."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
