"""What a tokenizer itself does to a text that makes bits per byte wrong, whatever table is used."""

import unicodedata
from collections.abc import Iterator

from bytegap.audit.text_count import TextCount
from bytegap.audit.token_vocabulary import TokenVocabulary
from bytegap.errors import counted
from bytegap.schema.audit import Finding

_SHOWN = 6


def check_text(count: TextCount, vocabulary: TokenVocabulary) -> Iterator[Finding]:
    """The mistakes that encoding the text shows."""
    true_bytes = sum(len(piece) * int(n) for piece, n in zip(vocabulary.token_bytes, count.token_counts, strict=True))
    special = {i: int(count.token_counts[i]) for i in vocabulary.special - vocabulary.unknown if count.token_counts[i]}
    special_bytes = sum(len(vocabulary.written[i].encode()) * n for i, n in special.items())
    replaced_surplus = 3 * count.replaced - count.invalid_bytes
    split_surplus = 2 * count.spaces_as_bytes
    if count.invalid_bytes:
        yield Finding(
            kind="replacement-character",
            detail=f"{counted(count.invalid_bytes, 'byte')} of the text are not UTF-8, and are read as "
            f"{count.replaced:,} U+FFFD of three bytes each: use text that is UTF-8",
            tokens=0,
            bytes=replaced_surplus,
        )
    if count.spaces_as_bytes:
        yield Finding(
            kind="missing-space-piece",
            detail="the vocabulary has no piece for a space alone (U+2581): "
            f"{counted(count.spaces_as_bytes, 'space')} of the text became three byte tokens each, which no table "
            "can count as one; divide by the bytes of the raw text, or train a vocabulary with that piece",
            tokens=3 * count.spaces_as_bytes,
            bytes=split_surplus,
        )
    if special:
        names = ", ".join(repr(vocabulary.written[i]) for i in sorted(special)[:_SHOWN])
        yield Finding(
            kind="special-tokens",
            detail=f"the text contains {names} written out, which the tokenizer reads as special tokens of no bytes: "
            "encode them as text, or remove them from it",
            tokens=sum(special.values()),
            bytes=-special_bytes,
        )
    if count.altered_stretches:
        surplus = true_bytes + special_bytes - count.added_spaces - split_surplus - count.raw_bytes - replaced_surplus
        yield Finding(
            kind="altered-text",
            detail=f"decoding does not give the text back: {_alterations(count)}; its figure is that of another "
            "text, and no likelihood of the raw one; use a lossless tokenizer, such as a byte-level one",
            tokens=count.altered_tokens,
            bytes=surplus,
        )


def _alterations(count: TextCount) -> str:
    """The most frequent alterations of the sample."""
    shown = [f"{_named(text)} became {_named(back)}" for (text, back), _ in count.alterations.most_common(_SHOWN)]
    return ", ".join(shown) or "it ends early"


def _named(text: str) -> str:
    """A short text in quotes; the name of a character that does not show."""
    if not text:
        return "nothing"
    if len(text) == 1 and not text.isalnum():
        return f"U+{ord(text):04X} {unicodedata.name(text, '')}".rstrip()
    return repr(text[:20])
