"""Speed of tokenization: bytes in MB/s, BPE against `tokenizers.encode_batch` alone, and memory over a large corpus.

    python bench/tokens.py FILE.jsonl [--megabytes 1000]

FILE is text to repeat, such as `corpora/english.py` writes.
Each copy of a document gets a number, so that it is not dropped as a duplicate.
"""

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from pathlib import Path
from statistics import median

import tokenizers

from bytegap.data import prepare, tokenize
from bytegap.data.tokenizers.bpe import BytePairEncoding
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
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
[tokenizers.byte]
kind = "bytes"
[arms.byte-ar]
tokenizer = "byte"
objective = "ar"
budgets = [1e10]
"""
BPE = {"vocab_size": 2048}
BATCH_BYTES = 1 << 22
ROUNDS = 5


def main() -> None:
    """Measure, and write bench/results/tokens.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--megabytes", type=int, default=1000)
    arguments = parser.parse_args()
    documents = [json.loads(line)["text"] for line in arguments.file.read_text(encoding="utf-8").splitlines()]
    rows = bpe(documents)
    with tempfile.TemporaryDirectory() as folder:
        rows += large(documents, arguments.megabytes * 10**6, Path(folder))
    write("tokens", "Text into tokens", rows)


def bpe(documents: list[str]) -> list[Row]:
    """Ours and the library alone, on the same text, taking turns."""
    texts, size = [], 0
    while size < BATCH_BYTES and len(texts) < len(documents):
        texts.append(documents[len(texts)])
        size += len(texts[-1].encode())
    with tempfile.TemporaryDirectory() as folder:
        ours = BytePairEncoding(**BPE).prepare((text.encode() for text in documents), Path(folder))
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
        {"what": f"BPE-{BPE['vocab_size']}: {name}", "s": seconds, "MB/s": size / 1e6 / seconds} | shared
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

    The byte tokens are made several times: the first time, the median, and the median of writing a file as long.
    """
    study, study_dir = load_study(folder / "study.toml"), StudyDir(folder / "out")
    stream, plain = study_dir.tokenizer_dir("byte") / "train.tokens", folder / "plain"

    def encode() -> None:
        tokenize.tokenize_with("byte", study, study_dir)

    def write_alone() -> None:
        piece = bytes(BATCH_BYTES)
        with plain.open("wb") as out:
            for _ in range(stream.stat().st_size // BATCH_BYTES):
                out.write(piece)

    times = {"corpus read and split": seconds_of(lambda: prepare.run(study, study_dir))}
    rounds = []
    for _ in range(ROUNDS):  # deleted files are written again into memory that the machine has touched
        shutil.rmtree(study_dir.tokenizer_dir("byte"), ignore_errors=True)
        plain.unlink(missing_ok=True)
        rounds.append((seconds_of(encode), seconds_of(write_alone)))
    ours, alone = zip(*rounds, strict=True)
    times["bytes as tokens, memory never touched before"] = ours[0]
    times["bytes as tokens"] = median(ours)
    times["a file as long as theirs, written alone"] = median(alone)
    times["their counts, and scoring windows"] = seconds_of(lambda: tokenize.run(study, study_dir))
    return times, peak_mb()


def peak_mb() -> float:
    """Peak resident memory of this process, on Linux; `ru_maxrss` begins with that of its parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3


def seconds_of(action: Callable[[], object]) -> float:
    """How long it takes, once."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
