"""Encode a text and count: tokens of each id, bytes, and where decoding does not give the text back.

Documents are encoded one by one, as training loops do.
A long one is cut before spaces between words, where the segmentation is the same, so that its parts are encoded in
parallel and memory stays bounded.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from bytegap.audit.text_encoder import TextEncoder
from bytegap.audit.token_vocabulary import SPACE_MARK, TokenVocabulary

CUT_CHARACTERS = 1 << 18
_BATCH_CHARACTERS = 1 << 22
_SAMPLED_STRETCHES = 20
_SAMPLED_CHARACTERS = 1000

_WORD_START = re.compile(r"(?<=\S) (?=\w)")
_MARK_BYTES = SPACE_MARK.encode()


@dataclass
class TextCount:
    """What encoding a text shows; all numbers are sums over its documents."""

    token_counts: NDArray[np.int64]
    """(V,)."""
    after_boundary: NDArray[np.int64]
    """(V,): of those, tokens that begin a document or follow a special token."""
    documents: int = 0
    raw_bytes: int = 0
    characters: int = 0
    invalid_bytes: int = 0
    """Bytes of the text that are not UTF-8, which every loop reads as U+FFFD."""
    replaced: int = 0
    """How many U+FFFD that gave."""
    added_spaces: int = 0
    """Documents before which the tokenizer puts a space."""
    spaces_as_bytes: int = 0
    """Spaces that became the three byte tokens of U+2581."""
    altered_stretches: int = 0
    """Stretches, documents or parts of long ones, that do not come back."""
    altered_tokens: int = 0
    """Tokens of those."""
    alterations: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """(text, what it came back as), counted in a sample."""

    @property
    def tokens(self) -> int:
        """Of the text."""
        return int(self.token_counts.sum())

    @property
    def is_lossless(self) -> bool:
        """Whether the text comes back from its tokens."""
        return not (self.invalid_bytes or self.altered_stretches or self.spaces_as_bytes)


@dataclass(frozen=True)
class _Stretch:
    text: str
    is_begin: bool
    """Of its document."""


def count_text(documents: Iterable[bytes], vocabulary: TokenVocabulary, encoder: TextEncoder) -> TextCount:
    """Encode every document and count."""
    n_ids = len(vocabulary.token_bytes)
    count = TextCount(np.zeros(n_ids, np.int64), np.zeros(n_ids, np.int64))
    for batch in _batches(_stretches(documents, count)):
        _count_batch(batch, count, vocabulary, encoder)
    return count


def _stretches(documents: Iterable[bytes], count: TextCount) -> Iterator[_Stretch]:
    for document in documents:
        text = _decoded(document, count)
        count.documents += 1
        count.raw_bytes += len(document)
        count.characters += len(text)
        begin = 0
        while begin < len(text):
            end = _cut(text, begin)
            yield _Stretch(text[begin:end], is_begin=begin == 0)
            begin = end


def _decoded(document: bytes, count: TextCount) -> str:
    try:
        return document.decode()
    except UnicodeDecodeError:
        text = document.decode(errors="replace")
        count.invalid_bytes += len(document) - len(document.decode(errors="ignore").encode())
        count.replaced += text.count("\ufffd") - document.count("\ufffd".encode())
        return text


def _cut(text: str, begin: int) -> int:
    """Where the stretch that begins at `begin` ends: before a space between words, if there is one in reach."""
    end = begin + CUT_CHARACTERS
    if end >= len(text):
        return len(text)
    found = _WORD_START.search(text, end, end + CUT_CHARACTERS)
    return found.start() if found else end


def _batches(stretches: Iterable[_Stretch]) -> Iterator[list[_Stretch]]:
    batch: list[_Stretch] = []
    characters = 0
    for stretch in stretches:
        batch.append(stretch)
        characters += len(stretch.text)
        if characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _count_batch(batch: list[_Stretch], count: TextCount, vocabulary: TokenVocabulary, encoder: TextEncoder) -> None:
    n_ids = len(vocabulary.token_bytes)
    ids, begins = array("I"), array("Q")
    for stretch, own in zip(batch, _encoded(batch, encoder), strict=True):
        if stretch.is_begin:
            begins.append(len(ids))
        ids.extend(own)
        _check_comes_back(stretch, own, count, vocabulary)
    all_ids = np.frombuffer(ids, np.uint32)
    starts_text = np.zeros(len(all_ids) + 1, bool)
    starts_text[np.frombuffer(begins, np.uint64).astype(np.int64)] = True
    starts_text[1:] |= np.isin(all_ids, list(vocabulary.special))
    count.token_counts += np.bincount(all_ids, minlength=n_ids)
    count.after_boundary += np.bincount(all_ids[starts_text[:-1]], minlength=n_ids)


def _encoded(batch: list[_Stretch], encoder: TextEncoder) -> Iterator[list[int]]:
    """The ids of each stretch, in order."""
    firsts = iter(encoder.encode([each.text for each in batch if each.is_begin]))
    rests = iter(encoder.encode_after_cut([each.text for each in batch if not each.is_begin]))
    return (list(next(firsts if each.is_begin else rests)) for each in batch)


def _check_comes_back(stretch: _Stretch, ids: list[int], count: TextCount, vocabulary: TokenVocabulary) -> None:
    joined, text = b"".join(map(vocabulary.spelled.__getitem__, ids)), stretch.text.encode()
    if joined == text:
        return
    if vocabulary.lacks_space_piece:
        count.spaces_as_bytes += joined.count(_MARK_BYTES)
        joined = joined.replace(_MARK_BYTES, b" ")
    if stretch.is_begin and (joined == b" " + text or (joined[:1] == b" " != text[:1])):
        count.added_spaces += 1
        joined = joined[1:]
    if joined != text:
        count.altered_stretches += 1
        count.altered_tokens += len(ids)
        if count.altered_stretches <= _SAMPLED_STRETCHES:
            count.alterations.update(_alterations(stretch.text, joined.decode(errors="replace")))


def _alterations(text: str, back: str) -> Iterator[tuple[str, str]]:
    """(text, what it came back as) from the first difference on, in a sample."""
    begin = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    ours, theirs = text[begin : begin + _SAMPLED_CHARACTERS], back[begin : begin + _SAMPLED_CHARACTERS]
    for what, i, j, k, m in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        ends_sample = len(ours) == _SAMPLED_CHARACTERS and j == len(ours)
        if what != "equal" and not ends_sample:
            yield ours[i:j], theirs[k:m]
