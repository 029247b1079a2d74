"""Where the windows of a document end: at boundaries of all tokenizers, or before white space.

Each tokenizer encodes the whole document once; a boundary is an offset at which one of its tokens ends.
A window's tokens are the document's tokens, so that nobody pays for a token cut in two.
Where a window begins or ends inside a token, the part of it is encoded by itself.
P code points.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bytegap.data.tokenizers.base import Tokenizer
from bytegap.data.windows import Window, code_point_ends, too_short

_LEAST = 0.75
"""Length of a window over the longest that fits: a window is not made shorter than that to end at a boundary."""

_WHITE_SPACE = np.frombuffer(b" \t\n\v\f\r", np.uint8)

Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class EncodedDocument:
    """A document under one tokenizer."""

    text: bytes
    tokenizer: Tokenizer
    ids: NDArray[np.unsignedinteger]
    """Its tokens."""
    ends: Offsets
    """The offset at which each token ends."""
    seq_len: int
    """Tokens that fit a sequence."""

    def tokens(self, start: int, end: int) -> NDArray[np.unsignedinteger]:
        """The tokens of `text[start:end]`: the document's, and those of the parts of tokens that are cut."""
        first, is_cut = self._first(start)
        last = int(np.searchsorted(self.ends, end, "right"))
        head_end = int(self.ends[first - 1]) if is_cut else start
        tail_start = int(self.ends[last - 1]) if last else 0
        if head_end == start and tail_start == end:
            return self.ids[first:last]
        if head_end > tail_start:  # all of it is inside one token
            return self._encode(start, end)
        return np.concatenate([self._encode(start, head_end), self.ids[first:last], self._encode(tail_start, end)])

    def furthest(self, start: int) -> int:
        """The last boundary to which the tokens from `start` fit a sequence."""
        first, is_cut = self._first(start)
        used = len(self._encode(start, int(self.ends[first - 1]))) if is_cut else 0
        return int(self.ends[min(len(self.ends), first + max(0, self.seq_len - used)) - 1])

    def _first(self, start: int) -> tuple[int, bool]:
        """The first token that begins at `start` or later, and whether the one before it ends later than `start`."""
        first = int(np.searchsorted(self.ends, start, "right"))
        is_cut = start != (int(self.ends[first - 1]) if first else 0)
        return first + is_cut, is_cut

    def _encode(self, start: int, end: int) -> NDArray[np.unsignedinteger]:
        return self.tokenizer.encode_batch([self.text[start:end]])[0] if start < end else self.ids[:0]


def encode_document(text: bytes, tokenizer: Tokenizer, lengths: NDArray[np.int64], seq_len: int) -> EncodedDocument:
    """The document under a tokenizer; `lengths` has the bytes of each token."""
    ids = tokenizer.encode_batch([text])[0]
    return EncodedDocument(text, tokenizer, ids, np.cumsum(lengths[ids]), seq_len)


@dataclass(frozen=True)
class Document:
    """A document under every tokenizer of a study."""

    text: bytes
    encoded: Mapping[str, EncodedDocument]
    """By tokenizer."""

    @cached_property
    def points_P(self) -> Offsets:
        """The offset at which each code point ends."""
        return code_point_ends(self.text)

    @cached_property
    def boundaries_P(self) -> NDArray[np.int64]:
        """Number of tokenizers that have a boundary at each of `points_P`."""
        found = [np.isin(self.points_P, each.ends, assume_unique=True) for each in self.encoded.values()]
        return np.sum(found, axis=0)

    @cached_property
    def common(self) -> Offsets:
        """The code point boundaries at which every tokenizer has a boundary."""
        return self.points_P[self.boundaries_P == len(self.encoded)]

    @cached_property
    def word_ends(self) -> Offsets:
        """Offsets before white space (ASCII's) that follows something else, and the document's end.

        Vocabularies attach a space to the word after it: a cut after the space would be inside a token.
        """
        is_space = np.isin(np.frombuffer(self.text, np.uint8), _WHITE_SPACE)
        return np.append(np.flatnonzero(is_space[1:] & ~is_space[:-1]) + 1, len(self.text))

    def windows(self, edges: Literal["tokens", "words"], context_bytes: int, start: int, stop: int) -> Iterator[Window]:
        """The windows of `text[start:stop]`, each the longest that ends at one of `edges`, fits, and is not too short.

        Too short is less than 0.75 of the longest stretch that fits. Where there is no such end, the window is a
        fallback: it ends at the last offset, not nearer than that, that is a boundary of the greatest number of
        tokenizers.
        PlanError where not even a code point fits.
        """
        allowed = self.common if edges == "tokens" else self.word_ends
        while start < stop:
            window = self._window(allowed, context_bytes, start, stop)
            yield window
            start = window.end

    def _window(self, allowed: Offsets, context_bytes: int, start: int, stop: int) -> Window:
        if stop - start <= context_bytes and self._fits(start, stop):
            return Window(start, stop)
        limit = min(start + context_bytes, stop - 1, *(each.furthest(start) for each in self.encoded.values()))
        reach = _between(self.points_P, start + 1, limit)
        if not len(reach):
            raise too_short(start)
        least = start + int(np.ceil(_LEAST * (int(reach[-1]) - start)))
        for end in _between(allowed, least, limit)[::-1].tolist():
            if self._fits(start, end):
                return Window(start, end)
        for end in self._by_boundaries(reach, least):
            if self._fits(start, end):
                return Window(start, end, is_fallback=True)
        raise too_short(start)

    def _by_boundaries(self, reach: Offsets, least: int) -> Sequence[int]:
        """Ends from best to worst: those from `least` on, by how many tokenizers have a boundary there, then by length.

        Shorter ones come last, the longest first.
        """
        first = bisect_left(self.points_P, int(reach[0]))
        boundaries = self.boundaries_P[first : first + len(reach)].copy()
        boundaries[reach < least] = -1
        return [end for _, end in sorted(zip(boundaries.tolist(), reach.tolist(), strict=True), reverse=True)]

    def _fits(self, start: int, end: int) -> bool:
        """Whether a stretch fits every arm's sequence, with EOS where the document ends."""
        n_eos = end == len(self.text)
        return all(len(each.tokens(start, end)) + n_eos <= each.seq_len for each in self.encoded.values())


def _between(offsets: Offsets, low: int, high: int) -> Offsets:
    """The offsets from `low` to `high`, both included."""
    return offsets[np.searchsorted(offsets, low) : np.searchsorted(offsets, high, "right")]
