"""Compressors on the test windows of a study, or on any files: bits per byte to hold a model's against.

Of a study it reads corpus/ and tokens/windows.json and writes baselines.json: every window by itself, and the whole
test text, each alone and after the training text. Of files it writes nothing: each is packed as the tools do.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from rich.table import Table

from bytegap.console import say, show, track
from bytegap.errors import EvaluateError, StoreError
from bytegap.evaluate import compressors
from bytegap.evaluate.compressors import COMPRESSORS
from bytegap.records import Baselines, Compressed, CorpusManifest, Part, WindowsManifest, digest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record, standing, write_record

SPLIT = "test"
_MOST_WORKERS = 4  # PPMd takes up to 1.6 GB of a large text

T = TypeVar("T")


class File(Part):
    """A file as every compressor packs it."""

    file: str
    bytes: int
    compressed: list[Compressed]


class Files(Part):
    """What `evaluate --baselines FILE... --json` prints."""

    versions: dict[str, str]
    files: list[File]


def of_study(folder: Folder, *, as_json: bool = False) -> Baselines:
    """Pack the test windows, or find them packed; print the table, or the record.

    Raises StoreError where the study is not tokenised, EvaluateError where a compressor is not installed.
    """
    corpus = read_record(folder.corpus_manifest, CorpusManifest, "corpus")
    split = read_record(folder.windows_manifest, WindowsManifest, "tokens").splits[SPLIT]
    compressors.check()
    versions = compressors.versions()
    train = corpus.splits["train"].text.sha256
    inputs = digest([split.sha256, train, versions, list(COMPRESSORS), compressors.PRIME_BYTES])
    made = standing(folder.baselines, Baselines, inputs)
    if made:
        say("evaluate", f"up to date: {folder.baselines}")
    else:
        windows = windows_of(folder)
        found = _measured(_of_windows, [(name, folder.root) for name in COMPRESSORS], "compressing the test windows")
        made = Baselines(
            inputs=inputs,
            windows=len(windows),
            bytes=sum(map(len, windows)),
            windows_sha256=split.sha256,
            versions=versions,
            compressed=[each for one in found for each in one],
        )
        write_record(folder.baselines, made)
        say("evaluate", f"{len(COMPRESSORS)} compressors, {made.windows:,} windows: {folder.baselines}")
    if as_json:
        print(made.model_dump_json(indent=1))
    else:
        show(_table_of_windows(made))
    return made


def of_files(paths: list[Path], *, as_json: bool = False) -> Files:
    """Pack whole files, each held in memory, and print the table or JSON; EvaluateError for one missing or empty."""
    for path in paths:
        _check(path)
    compressors.check()
    jobs = [(name, path) for path in paths for name in COMPRESSORS]
    found = _measured(_of_file, jobs, "compressing")
    n = len(COMPRESSORS)
    files = [
        File(file=str(path), bytes=path.stat().st_size, compressed=found[at * n : (at + 1) * n])
        for at, path in enumerate(paths)
    ]
    made = Files(versions=compressors.versions(), files=files)
    if as_json:
        print(made.model_dump_json(indent=1))
    else:
        show(_table_of_files(files))
    return made


def windows_of(folder: Folder) -> list[bytes]:
    """The test windows' text, one after another, as the tokens stage cut it; StoreError if it is no longer that."""
    corpus = read_record(folder.corpus_manifest, CorpusManifest, "corpus")
    split = read_record(folder.windows_manifest, WindowsManifest, "tokens").splits[SPLIT]
    text = read_array(folder.corpus, corpus.splits[SPLIT].text).tobytes()
    ends = read_array(folder.tokens / "windows", split.ends).astype(np.int64)
    if hashlib.sha256(text + ends.tobytes()).hexdigest() != split.sha256:
        message = f"{folder.windows_manifest} is not of the text in {folder.corpus}: run 'bytegap tokens' again"
        raise StoreError(message)
    return [text[begin:end] for begin, end in pairwise([0, *ends.tolist()])]


def _prime(folder: Folder, most_bytes: int) -> bytes:
    """The end of the training text, at most so much of it."""
    train = read_record(folder.corpus_manifest, CorpusManifest, "corpus").splits["train"].text
    return read_array(folder.corpus, train)[-most_bytes:].tobytes()


def _of_windows(name: str, root: Path) -> list[Compressed]:
    """One compressor on a study's windows, and on their text as a whole; alone, then primed where it can be."""
    folder, compressor = Folder(root), COMPRESSORS[name]
    windows = windows_of(folder)
    text = b"".join(windows)

    def compressed(of: Literal["windows", "text"], n_bytes: int, prime_bytes: int = 0) -> Compressed:
        return Compressed(compressor=name, of=of, prime_bytes=prime_bytes, bytes=n_bytes, bpb=8 * n_bytes / len(text))

    found = [
        compressed("windows", sum(len(compressor.window(window)) for window in windows)),
        compressed("text", len(compressor.file(text))),
    ]
    if compressor.after:
        prime = _prime(folder, compressor.prime_bytes)
        *sizes, whole = compressor.after(prime, [*windows, text])
        found += [compressed("windows", sum(sizes), len(prime)), compressed("text", whole, len(prime))]
    return found


def _of_file(name: str, path: Path) -> Compressed:
    text = path.read_bytes()
    packed = len(COMPRESSORS[name].file(text))
    return Compressed(compressor=name, of="text", prime_bytes=0, bytes=packed, bpb=8 * packed / len(text))


def _measured(measure: Callable[[str, Path], T], jobs: list[tuple[str, Path]], description: str) -> list[T]:
    """Each job's result, several in processes of their own; EvaluateError where memory does not suffice."""
    workers = min(len(jobs), _MOST_WORKERS, os.cpu_count() or 1)
    try:
        with _large_pages(), ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            done = pool.map(measure, *zip(*jobs, strict=True))
            return list(track(done, description, total=len(jobs)))
    except (MemoryError, BrokenProcessPool):
        message = (
            "not enough memory to compress so large a text: it is held whole, by each compressor; give a smaller one"
        )
        raise EvaluateError(message) from None


@contextlib.contextmanager
def _large_pages() -> Generator[None]:
    """Processes started meanwhile take memory in pages of 2 MB where glibc can: forks then cost a third or a half."""
    name = "GLIBC_TUNABLES"
    before = os.environ.get(name)
    os.environ.setdefault(name, "glibc.malloc.hugetlb=1")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        message = f"{path}: {(error.strerror or str(error)).lower()}: name a file that can be read"
        raise EvaluateError(message) from None
    if empty:
        message = f"{path} is empty, and bits per byte need bytes: name a file that has some"
        raise EvaluateError(message)


def _table_of_windows(made: Baselines) -> Table:
    title = f"Bits per byte of the test text, {made.bytes:,} bytes in {made.windows:,} windows"
    table = Table(title=title, title_justify="left")
    headings = ("compressor", "each window alone", "primed", "whole text alone", "primed", "primed with, bytes")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for name in COMPRESSORS:
        own = [each for each in made.compressed if each.compressor == name]
        bpb = {(each.of, each.prime_bytes > 0): f"{each.bpb:.4f}" for each in own}
        cells = [bpb.get((of, primed), "") for of in ("windows", "text") for primed in (False, True)]
        prime_bytes = max(each.prime_bytes for each in own)
        table.add_row(name, *cells, f"{prime_bytes:,}" if prime_bytes else "")
    return table


def _table_of_files(files: list[File]) -> Table:
    table = Table()
    for number, heading in enumerate(("file", "compressor", "compressed, bytes", "bits per byte")):
        table.add_column(heading, justify="right" if number > 1 else "left", overflow="fold")
    for one in files:
        for each in one.compressed:
            name = f"{one.file}, {one.bytes:,} bytes" if each is one.compressed[0] else ""
            table.add_row(name, each.compressor, f"{each.bytes:,}", f"{each.bpb:.4f}")
        table.add_section()
    return table
