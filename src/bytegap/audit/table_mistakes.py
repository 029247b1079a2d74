"""Known ways to count the bytes of a token wrongly, each as the entry that it gives, and what a table has of them.

The public cases: openai/parameter-golf issues 897 and pull requests 1289 and 1672, karpathy/nanochat 693,
karpathy/autoresearch 384.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bytegap.audit.byte_table import ByteTable
from bytegap.audit.text_count import TextCount
from bytegap.audit.token_vocabulary import SPACE_MARK, TokenVocabulary
from bytegap.errors import listed
from bytegap.schema.audit import Finding, Kind, WrongEntry

_NAMED_TOKENS = 4


@dataclass(frozen=True)
class Mistake:
    """One way to count wrongly."""

    kind: Kind
    what: str
    """What the entry counts instead, as a clause."""
    entry: Callable[[TokenVocabulary, int], int]
    """What it counts for an id that stands for text."""


def _replaced(vocabulary: TokenVocabulary, i: int) -> int:
    return len(vocabulary.token_bytes[i].decode(errors="replace").encode())


def _characters(vocabulary: TokenVocabulary, i: int) -> int:
    return len(vocabulary.token_bytes[i].decode(errors="replace"))


def _double_space(vocabulary: TokenVocabulary, i: int) -> int:
    return len(vocabulary.token_bytes[i]) + vocabulary.token_bytes[i].startswith(b" ")


def _no_space(vocabulary: TokenVocabulary, i: int) -> int:
    return len(vocabulary.token_bytes[i]) - vocabulary.token_bytes[i].startswith(b" ")


def _marks_as_three(vocabulary: TokenVocabulary, i: int) -> int:
    return len(vocabulary.token_bytes[i]) + 2 * vocabulary.written[i].count(SPACE_MARK)


def _written_characters(vocabulary: TokenVocabulary, i: int) -> int:
    return len(vocabulary.written[i])


def _written_bytes(vocabulary: TokenVocabulary, i: int) -> int:
    return len(vocabulary.written[i].encode())


MISTAKES = (
    Mistake(
        "replacement-character",
        "a token that is not UTF-8 by itself as U+FFFD, which has three bytes; count the token's raw bytes, without "
        "decoding",
        _replaced,
    ),
    Mistake(
        "double-space",
        "the leading space of a token twice; count it in the table or in the loop, not in both",
        _double_space,
    ),
    Mistake(
        "missing-space-piece",
        "the mark U+2581 as its three bytes, where it stands for a space, which has one; replace it before counting",
        _marks_as_three,
    ),
    Mistake("characters-for-bytes", "characters; encode the token as UTF-8 and count bytes", _characters),
    Mistake("wrong-length", "a token without its leading space, as decoding it alone gives it", _no_space),
    Mistake(
        "characters-for-bytes",
        "characters of the token as the vocabulary writes it, such as the six of <0x0A>; count the bytes it stands for",
        _written_characters,
    ),
    Mistake(
        "characters-for-bytes",
        "UTF-8 bytes of the token as the vocabulary writes it, such as two for \u0120; count the bytes it stands for",
        _written_bytes,
    ),
)


@dataclass(frozen=True)
class TableCheck:
    """What a table has wrong."""

    findings: list[Finding]
    wrong_entries: list[WrongEntry]
    notes: list[str]
    text_bytes: float | None
    """Bytes of the text by the table; None without a text."""


def mistaken_entries(vocabulary: TokenVocabulary, mistake: Mistake) -> NDArray[np.float64]:
    """(V,): the table that a mistake gives; special tokens stand for no bytes."""
    texts = [0 if i in vocabulary.special else mistake.entry(vocabulary, i) for i in range(len(vocabulary.token_bytes))]
    return np.array(texts, np.float64)


def true_entries(vocabulary: TokenVocabulary) -> NDArray[np.float64]:
    """(V,): true bytes of each id."""
    return np.array([len(piece) for piece in vocabulary.token_bytes], np.float64)


def check_table(table: ByteTable, vocabulary: TokenVocabulary, count: TextCount | None) -> TableCheck:
    """Compare a table with the true bytes of every id, name the mistakes, and weigh them by the text's tokens."""
    n_ids = len(vocabulary.token_bytes)
    base, space = _fitted(table.base, n_ids), None
    if table.leading_space is not None:
        space = _fitted(table.leading_space, n_ids)
    occurrences = np.zeros(n_ids, np.int64) if count is None else count.token_counts
    after_boundary = occurrences * 0 if count is None else count.after_boundary
    entries, by_id = base, occurrences * base
    if space is not None:
        entries = base + space
        by_id = by_id + (occurrences - after_boundary) * space
    true = true_entries(vocabulary)
    surplus = by_id - occurrences * true
    findings, notes = _length(table, n_ids, vocabulary.special, occurrences, surplus)
    wrong = np.flatnonzero((entries != true) & (np.arange(n_ids) < len(table.base)))
    findings += _named(wrong, entries, occurrences, surplus, vocabulary)
    return TableCheck(
        findings,
        [
            WrongEntry(
                id=int(i),
                token=vocabulary.written[i],
                true=int(true[i]),
                table=float(entries[i]),
                occurrences=int(occurrences[i]),
            )
            for i in wrong
        ],
        notes,
        None if count is None else float(by_id.sum()),
    )


def _fitted(numbers: NDArray[np.generic], n_ids: int) -> NDArray[np.float64]:
    """The first V entries; 0 for those that are missing."""
    fitted = np.zeros(n_ids)
    fitted[: len(numbers)] = numbers[:n_ids]
    return fitted


def _length(
    table: ByteTable,
    n_ids: int,
    special: frozenset[int],
    occurrences: NDArray[np.int64],
    surplus: NDArray[np.float64],
) -> tuple[list[Finding], list[str]]:
    entries = len(table.base)
    if entries > n_ids and not table.inside_text[n_ids:].any():
        return [], [f"the table has {entries - n_ids:,} entries of 0 after the {n_ids:,} ids, as a padded head has"]
    if entries == n_ids:
        return [], []
    if entries < n_ids and special.issuperset(range(entries, n_ids)):
        return [], [f"the table has no entries for the last {n_ids - entries:,} ids, which are special tokens"]
    detail = f"the table has {entries:,} entries and the tokenizer {n_ids:,} ids: it was made for another vocabulary"
    lost = slice(entries, None)
    tokens, n_bytes = int(occurrences[lost].sum()), round(float(surplus[lost].sum()))
    return [Finding(kind="wrong-length", detail=detail, tokens=tokens, bytes=n_bytes)], []


def _named(
    wrong: NDArray[np.intp],
    entries: NDArray[np.float64],
    occurrences: NDArray[np.int64],
    surplus: NDArray[np.float64],
    vocabulary: TokenVocabulary,
) -> list[Finding]:
    """A finding for each mistake that explains wrong entries, the one that explains most first."""

    def finding(kind: Kind, what: str, ids: NDArray[np.intp]) -> Finding:
        examples = listed(
            [f"{vocabulary.written[i]!r} (id {i})" for i in ids[np.argsort(-occurrences[ids])][:_NAMED_TOKENS]]
        )
        detail = f"the table counts {what}: {len(ids):,} entries, such as {examples}"
        tokens, n_bytes = int(occurrences[ids].sum()), round(float(surplus[ids].sum()))
        return Finding(kind=kind, detail=detail, tokens=tokens, bytes=n_bytes)

    is_special = np.isin(wrong, list(vocabulary.special))
    special, left = wrong[is_special], wrong[~is_special]
    findings: list[Finding] = []
    if len(special):
        what = "special tokens as text, though they have no bytes; set their entries to 0"
        findings.append(finding("special-tokens", what, special))
    is_text = np.ones(len(entries), bool)
    is_text[list(vocabulary.special)] = False
    if len(left) and len(np.unique(entries[is_text])) == 1:
        what = f"every token as {entries[left[0]]:g} bytes; count the bytes of each"
        return [*findings, finding("constant-divisor", what, left)]
    tables = [(mistake, mistaken_entries(vocabulary, mistake)) for mistake in MISTAKES]
    is_byte_piece = np.array([vocabulary.is_byte_piece(int(i)) for i in left], bool)
    for alike in (left[~is_byte_piece], left[is_byte_piece]):
        for kind, what, ids in _explained(alike, entries, tables):
            findings.append(finding(kind, what, ids))
    return findings


def _explained(
    left: NDArray[np.intp], entries: NDArray[np.float64], tables: Sequence[tuple[Mistake, NDArray[np.float64]]]
) -> Iterator[tuple[Kind, str, NDArray[np.intp]]]:
    """The mistake that gives most of the entries with their ids, then that of those left, and so on."""
    while len(left):
        matches = [(mistake, entries[left] == given[left]) for mistake, given in tables]
        mistake, explained = max(matches, key=lambda match: int(match[1].sum()))
        if not explained.any():
            yield "wrong-length", "another number of bytes than the token has; count the bytes it stands for", left
            return
        yield mistake.kind, mistake.what, left[explained]
        left = left[~explained]
