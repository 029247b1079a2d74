"""What is scored of each held-out document, cut into windows under one or several edges.

A document counts for as many windows as a number of bytes holds, from a start that depends on the study's seed and the
document's text alone; without such a number all of it counts.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from bytegap.data.boundaries import Document, encode_document
from bytegap.data.tokenizers.base import Tokenizer
from bytegap.data.windows import Window, window_ends
from bytegap.schema.data import Edge

Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class ArmTokenizer:
    """A tokenizer, and the sequences that its arms are trained on."""

    tokenizer: Tokenizer
    lengths: Offsets
    """Bytes of each token; 0 for EOS, which is last."""
    seq_len: int


@dataclass(frozen=True)
class DocumentWindows:
    """The windows of one document, one after another."""

    text: bytes
    """Of all windows."""
    starts: Offsets
    """(W,), byte offset at which each window starts."""
    ends: Offsets
    ends_document: bool
    """Whether the last window ends where the document does, and so has EOS."""
    fallbacks: int
    """Windows that end elsewhere than the edge asks."""
    tokens: Mapping[str, Sequence[NDArray[np.unsignedinteger]]]
    """By tokenizer, of each window."""

    def after(self, n_bytes: int) -> "DocumentWindows":
        """The same with offsets in a text that has so many bytes before the document."""
        return replace(self, starts=self.starts + n_bytes, ends=self.ends + n_bytes)


@dataclass(frozen=True)
class Excerpts:
    """How the documents of a study are cut."""

    arms: Mapping[str, ArmTokenizer]
    """By tokenizer."""
    context_bytes: int
    edge: Edge
    """The study's own; decides what text is scored."""
    most_bytes: int | None
    """Of each document; None: all. At least `context_bytes`."""
    seed: int

    def cut(self, text: bytes, others: Sequence[Edge]) -> dict[Edge, DocumentWindows]:
        """The windows of a document under the study's own edge, and of the same text under `others`.

        PlanError where not even a code point fits.
        """
        document = Document(
            text,
            {name: encode_document(text, arm.tokenizer, arm.lengths, arm.seq_len) for name, arm in self.arms.items()},
        )
        start, most = self._start(document), self.most_bytes or len(text)
        own = list(takewhile(lambda w: w.end - start <= most, self._windows(document, self.edge, start, len(text))))
        stop = own[-1].end
        cut: dict[Edge, list[Window]] = {self.edge: own}
        cut |= {edge: list(self._windows(document, edge, start, stop)) for edge in others}
        return {edge: self._encoded(document, edge, windows) for edge, windows in cut.items()}

    def _start(self, document: Document) -> int:
        """Where to start: from a place drawn uniformly on, the first boundary of all tokenizers where a word starts.

        Failing that within a window's length, the first boundary of all, or of a code point.
        """
        text = document.text
        if self.most_bytes is None or len(text) <= self.most_bytes:
            return 0
        key = int.from_bytes(hashlib.sha256(text).digest()[:8])
        drawn = int(np.random.default_rng((self.seed, key)).integers(len(text) - self.most_bytes + 1))
        if not drawn:
            return 0
        for offsets in (np.intersect1d(document.common, document.word_ends), document.common, document.points_P):
            start = int(offsets[np.searchsorted(offsets, drawn)])
            if start <= drawn + self.context_bytes and start < len(text):
                return start
        raise AssertionError("the last code point begins after the drawn place")

    def _windows(self, document: Document, edge: Edge, start: int, stop: int) -> Iterator[Window]:
        """The windows of `text[start:stop]`."""
        if edge != "any":
            yield from document.windows(edge, self.context_bytes, start, stop)
            return
        n_eos = int(stop == len(document.text))
        begin = start
        for end in window_ends(document.text[start:stop], self.context_bytes, self._fits, n_eos=n_eos):
            yield Window(begin, start + end)
            begin = start + end

    def _fits(self, texts: list[bytes], n_eos: int) -> list[bool]:
        """For each text, encoded by itself, whether it fits every arm's sequence together with so many EOS."""
        fit = [True] * len(texts)
        for arm in self.arms.values():
            encoded = arm.tokenizer.encode_batch(texts)
            fit = [ok and len(ids) + n_eos <= arm.seq_len for ok, ids in zip(fit, encoded, strict=True)]
        return fit

    def _encoded(self, document: Document, edge: Edge, windows: Sequence[Window]) -> DocumentWindows:
        text = document.text
        texts = [text[window.start : window.end] for window in windows]
        return DocumentWindows(
            text=b"".join(texts),
            starts=np.array([window.start for window in windows]),
            ends=np.array([window.end for window in windows]),
            ends_document=windows[-1].end == len(text),
            fallbacks=sum(window.is_fallback for window in windows),
            tokens={
                name: arm.tokenizer.encode_batch(texts)
                if edge == "any"
                else [document.encoded[name].tokens(window.start, window.end) for window in windows]
                for name, arm in self.arms.items()
            },
        )
