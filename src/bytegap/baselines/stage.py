"""The verb `baselines`: compressed sizes in bits per byte, to compare with a model's.

For a study it reads corpus/ and tokens/windows.json and writes baselines.json: each test window by itself, and the test
text as one file, each alone and after the training text.
For other files it writes nothing: each is compressed as by the command-line tools.
"""

import contextlib
import os
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeVar

from rich.table import Table

from bytegap.baselines import compressors
from bytegap.baselines.compressors import COMPRESSORS
from bytegap.console import say, show, track
from bytegap.data.windows import window_texts
from bytegap.errors import EvaluateError
from bytegap.io.arrays import read_array
from bytegap.io.paths import as_text
from bytegap.schema.base import FrozenDict, FrozenModel, digest
from bytegap.schema.data import HeldOut, ScoringSplit
from bytegap.schema.evaluate import Baselines, Compressed
from bytegap.study.directory import BASELINES, StudyDir

SPLIT: HeldOut = "test"
_MAX_WORKERS = 4  # PPMd takes up to 1.6 GB for a large text

T = TypeVar("T")
Scope = Literal["windows", "text"]


class CompressedFile(FrozenModel):
    """A file under every compressor."""

    file: str
    bytes: int
    compressed: tuple[Compressed, ...]


class CompressedFiles(FrozenModel):
    """What `baselines FILE... --json` prints."""

    versions: FrozenDict[str, str]
    files: tuple[CompressedFile, ...]


def of_study(study_dir: StudyDir, *, as_json: bool = False) -> Baselines:
    """Compress the test windows, unless that was done before; print a table, or the record as JSON.

    Raises StudyDirError where the study has no windows yet, MissingExtraError where a compressor is not installed.
    """
    split = study_dir.windows().splits[SPLIT]
    compressors.check()
    train_sha256 = study_dir.corpus().splits["train"].text.sha256
    versions = compressors.versions()
    inputs = digest([split.sha256, train_sha256, versions, list(COMPRESSORS), compressors.PRIME_BYTES])
    path = study_dir.path(BASELINES)
    baselines = study_dir.load_if_current(BASELINES, inputs)
    if baselines:
        say("baselines", f"up to date: {path}")
    else:
        baselines = _compress_study(study_dir, split, FrozenDict(versions), inputs)
        study_dir.write(BASELINES, baselines)
        say("baselines", f"{len(COMPRESSORS)} compressors, {baselines.windows:,} windows: {path}")
    if as_json:
        print(baselines.model_dump_json(indent=1))
    else:
        show(_windows_table(baselines))
    return baselines


def of_files(paths: list[Path], *, as_json: bool = False) -> CompressedFiles:
    """Compress files, each held in memory, and print a table or JSON; EvaluateError for one missing or empty."""
    for path in paths:
        _check_readable(path)
    compressors.check()
    jobs = [(name, path) for path in paths for name in COMPRESSORS]
    compressed = _run_jobs(_compress_file, jobs, "compressing")
    n = len(COMPRESSORS)
    files = tuple(
        CompressedFile(
            file=as_text(path), bytes=path.stat().st_size, compressed=tuple(compressed[index * n : (index + 1) * n])
        )
        for index, path in enumerate(paths)
    )
    result = CompressedFiles(versions=FrozenDict(compressors.versions()), files=files)
    if as_json:
        print(result.model_dump_json(indent=1))
    else:
        show(_files_table(files))
    return result


def _compress_study(
    study_dir: StudyDir, split: ScoringSplit, versions: FrozenDict[str, str], inputs_sha256: str
) -> Baselines:
    windows = window_texts(study_dir, SPLIT, split)
    jobs = [(name, study_dir.root) for name in COMPRESSORS]
    compressed = _run_jobs(_compress_windows, jobs, "compressing the test windows")
    return Baselines(
        inputs_sha256=inputs_sha256,
        windows=len(windows),
        bytes=sum(map(len, windows)),
        windows_sha256=split.sha256,
        versions=versions,
        compressed=tuple(each for of_one in compressed for each in of_one),
    )


def _training_text(study_dir: StudyDir, max_bytes: int) -> bytes:
    """The last bytes of the training text, at most so many."""
    train = study_dir.corpus().splits["train"].text
    return read_array(study_dir.corpus_dir, train)[-max_bytes:].tobytes()


def _compress_windows(name: str, root: Path) -> list[Compressed]:
    """One compressor on a study's windows, and on their text as one file; alone, then primed where it can be."""
    study_dir, compressor = StudyDir(root), COMPRESSORS[name]
    windows = window_texts(study_dir, SPLIT, study_dir.windows().splits[SPLIT])
    text = b"".join(windows)

    def compressed(scope: Scope, n_bytes: int, prime_bytes: int = 0) -> Compressed:
        return Compressed(
            compressor=name, scope=scope, prime_bytes=prime_bytes, bytes=n_bytes, bpb=8 * n_bytes / len(text)
        )

    found = [
        compressed("windows", sum(len(compressor.window(window)) for window in windows)),
        compressed("text", len(compressor.file(text))),
    ]
    if compressor.after:
        prime = _training_text(study_dir, compressor.prime_bytes)
        *window_sizes, text_size = compressor.after(prime, [*windows, text])
        found += [compressed("windows", sum(window_sizes), len(prime)), compressed("text", text_size, len(prime))]
    return found


def _compress_file(name: str, path: Path) -> Compressed:
    text = path.read_bytes()
    n_bytes = len(COMPRESSORS[name].file(text))
    return Compressed(compressor=name, scope="text", prime_bytes=0, bytes=n_bytes, bpb=8 * n_bytes / len(text))


def _run_jobs(work: Callable[[str, Path], T], jobs: list[tuple[str, Path]], description: str) -> list[T]:
    """The result of each job, several at once in processes of their own; EvaluateError where memory is too small."""
    workers = min(len(jobs), _MAX_WORKERS, os.cpu_count() or 1)
    try:
        with _large_pages(), ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            results = pool.map(work, *zip(*jobs, strict=True))
            return list(track(results, description, total=len(jobs)))
    except (MemoryError, BrokenProcessPool):
        raise EvaluateError(
            "not enough memory: every compressor holds all of the text; compress a smaller file"
        ) from None


@contextlib.contextmanager
def _large_pages() -> Generator[None]:
    """Give processes started meanwhile memory pages of 2 MB where glibc can: forks take a third to half the time."""
    name = "GLIBC_TUNABLES"
    before = os.environ.get(name)
    os.environ.setdefault(name, "glibc.malloc.hugetlb=1")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise EvaluateError(f"{path}: {(error.strerror or str(error)).lower()}: name a file that can be read") from None
    if empty:
        raise EvaluateError(f"{path} is empty, and bits per byte of an empty file are undefined: name another")


def _windows_table(baselines: Baselines) -> Table:
    title = f"Bits per byte of the test text, {baselines.bytes:,} bytes in {baselines.windows:,} windows"
    table = Table(title=title, title_justify="left")
    headings = ("compressor", "each window alone", "primed", "text as one file", "primed", "primed with, bytes")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for name in COMPRESSORS:
        own = [each for each in baselines.compressed if each.compressor == name]
        bpb = {(each.scope, each.prime_bytes > 0): f"{each.bpb:.4f}" for each in own}
        cells = [bpb.get((scope, primed), "") for scope in ("windows", "text") for primed in (False, True)]
        prime_bytes = max(each.prime_bytes for each in own)
        table.add_row(name, *cells, f"{prime_bytes:,}" if prime_bytes else "")
    return table


def _files_table(files: tuple[CompressedFile, ...]) -> Table:
    table = Table()
    for number, heading in enumerate(("file", "compressor", "compressed, bytes", "bits per byte")):
        table.add_column(heading, justify="right" if number > 1 else "left", overflow="fold")
    for file in files:
        for each in file.compressed:
            name = f"{file.file}, {file.bytes:,} bytes" if each is file.compressed[0] else ""
            table.add_row(name, each.compressor, f"{each.bytes:,}", f"{each.bpb:.4f}")
        table.add_section()
    return table
