"""Scoring windows: stretches of held-out text, the same text for every arm.

A window fits `context_bytes` and every arm's sequence length, so that all arms are scored on identical text, each byte
once.
A window starts with BOS, which is given and not scored; EOS stands only where a document ends.
Here windows may end at any code point and are encoded by themselves; `boundaries.py` ends them at boundaries of tokens.
W windows, D documents.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bytegap.data.train_sequences import Tokens
from bytegap.errors import PlanError, StudyDirError
from bytegap.io.arrays import read_array
from bytegap.schema.data import HeldOut, ScoringSplit
from bytegap.study.directory import WINDOWS, StudyDir

_CANDIDATES = 16  # window ends tried at once, longest first

Fits = Callable[[list[bytes], int], list[bool]]
"""(texts, EOS tokens): for each text, whether it fits every arm's sequence together with so many EOS."""


@dataclass(frozen=True)
class Window:
    """A stretch of a document."""

    start: int
    end: int
    is_fallback: bool = False
    """Whether it ends elsewhere than the study asks, because no such place was near."""


def too_short(start: int) -> PlanError:
    """The error of a context in which not even one character fits."""
    return PlanError(
        f"[context] bytes: not even one character of the text fits every arm's sequence (near byte {start} of a "
        "held-out document): lengthen the context"
    )


def code_point_ends(document: bytes) -> NDArray[np.int64]:
    """Offsets at which a document may be cut: after each code point, and after each byte that is not valid UTF-8."""
    points = np.frombuffer(document.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    widths[(points >= 0xDC80) & (points <= 0xDCFF)] = 1  # surrogateescape stands for one stray byte
    return np.cumsum(widths)


def window_ends(text: bytes, context_bytes: int, fits: Fits, *, n_eos: int = 1) -> Iterator[int]:
    """Byte offset at which each window of a text ends: the longest within `context_bytes` that `fits`.

    `n_eos` is 1 where a document ends with the text.
    """
    allowed = code_point_ends(text)
    start = 0
    while start < len(text):
        low = int(np.searchsorted(allowed, start, "right"))
        high = int(np.searchsorted(allowed, start + context_bytes, "right"))
        start = _longest(text, start, allowed[low:high], fits, n_eos)
        yield start


def _longest(text: bytes, start: int, ends: NDArray[np.int64], fits: Fits, n_eos: int) -> int:
    remaining = [int(end) for end in ends[::-1]]
    if remaining[0] == len(text):
        if fits([text[start:]], n_eos)[0]:
            return len(text)
        remaining = remaining[1:]
    for first in range(0, len(remaining), _CANDIDATES):
        tried = remaining[first : first + _CANDIDATES]
        for end, fit in zip(tried, fits([text[start:end] for end in tried], 0), strict=True):
            if fit:
                return end
    raise too_short(start)


def chunk_lengths(n_tokens: int, seq_len: int) -> list[int]:
    """Lengths of the sequences that `n_tokens` fill: `seq_len` each, but the last."""
    return [min(seq_len, n_tokens - start) for start in range(0, n_tokens, seq_len)]


def token_starts(tokens: NDArray[np.int64], lengths: NDArray[np.generic]) -> NDArray[np.bool_]:
    """For each byte of a stream of tokens, EOS counted as one byte: whether a token begins there.

    `lengths` has the bytes of each of the V tokens.
    """
    widths = np.append(lengths, 1).astype(np.int64)[tokens]
    flags = np.zeros(int(widths.sum()), bool)
    flags[np.cumsum(widths) - widths] = True
    return flags


@dataclass(frozen=True)
class Windows:
    """The scoring windows of a split as one tokenizer's tokens, window after window."""

    tokens: NDArray[np.generic]
    counts: NDArray[np.generic]
    """Tokens in each window."""
    bytes: int
    """Raw bytes of all windows."""
    sha256: str
    """Checksum of the windows' text and ends, equal for all tokenizers."""
    documents: NDArray[np.int64] | None = None
    """(W,), the index of the document that each window is from; None where that does not matter."""
    document_bytes: tuple[int, ...] = ()
    """Raw bytes of the windows of each of the D documents; empty where `documents` is None."""

    def by_length(self) -> Iterator[tuple[NDArray[np.int64], Tokens]]:
        """Windows of equal length together, so that nothing is padded: (their indices (n,), their tokens (n, S))."""
        counts = self.counts.astype(np.int64)
        ends = np.cumsum(counts)
        for length in sorted(set(map(int, counts))):
            indices = np.flatnonzero(counts == length)
            offsets = (ends[indices] - length)[:, None] + np.arange(length)
            yield indices, self.tokens[offsets].astype(np.int64)


def window_texts(study_dir: StudyDir, name: HeldOut, split: ScoringSplit) -> list[bytes]:
    """The text of each window; StudyDirError if the corpus is not the one that the windows were cut from."""
    text = read_array(study_dir.corpus_dir, study_dir.corpus().splits[name].text).tobytes()
    starts_W, ends_W = _offsets(study_dir.windows_dir, split)
    texts = [text[start:end] for start, end in zip(starts_W.tolist(), ends_W.tolist(), strict=True)]
    if hashlib.sha256(b"".join(texts) + np.cumsum(ends_W - starts_W).tobytes()).hexdigest() != split.sha256:
        raise StudyDirError(
            f"{study_dir.path(WINDOWS)} does not match the text in {study_dir.corpus_dir}: run 'bytegap tokenize' again"
        )
    return texts


def _offsets(folder: Path, split: ScoringSplit) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each window starts and ends in the split's text."""
    ends_W = read_array(folder, split.ends).astype(np.int64)
    starts_W = read_array(folder, split.starts).astype(np.int64) if split.starts else np.append(0, ends_W[:-1])
    return starts_W, ends_W


def read_windows(folder: Path, split: ScoringSplit, tokenizer: str) -> Windows:
    """The windows of a split, whose arrays are in `folder`, in the tokens of one tokenizer."""
    own = split.tokenizers[tokenizer]
    documents, document_bytes = None, ()
    if split.documents:
        starts_W, ends_W = _offsets(folder, split)
        documents = read_array(folder, split.documents).astype(np.int64)
        document_bytes = tuple(map(int, np.bincount(documents, ends_W - starts_W, split.n_documents)))
    return Windows(
        tokens=read_array(folder, own.tokens),
        counts=read_array(folder, own.counts),
        bytes=split.bytes,
        sha256=split.sha256,
        documents=documents,
        document_bytes=document_bytes,
    )
