"""A claimed loss per token and a claimed bits per byte against a text: the true figure, and what the claims imply.

val_bpb = val_loss x tokens / (ln 2 x bytes), so that the two claims together imply the bytes per token that were
divided by, up to the digits that the claims are given with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from bytegap.audit.table_mistakes import MISTAKES, mistaken_entries, true_entries
from bytegap.audit.text_count import TextCount
from bytegap.audit.token_vocabulary import TokenVocabulary
from bytegap.cost.bits import bits_per_byte
from bytegap.schema.audit import Finding, Kind

_ROUNDING = 1e-9
_CONSTANT_DIGITS = 3
_LOST_SHARE = 0.5
_DISTINCT = 2e-3
"""Claims known less exactly than by this share agree with too much for a mistake to be named."""


@dataclass(frozen=True)
class ClaimedNumber:
    """A number as somebody wrote it."""

    value: float
    half_unit: float
    """Half a unit of its last digit."""

    @classmethod
    def parse(cls, text: str) -> "ClaimedNumber":
        """ValueError unless it is a finite number above 0."""
        try:
            number = Decimal(text.strip())
        except InvalidOperation:
            raise ValueError(text) from None
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or not 0 < number < Decimal("1e300"):
            raise ValueError(text)
        return cls(float(number), 0.5 * 10.0**exponent)


@dataclass(frozen=True)
class Divided:
    """What a text's loss may have been divided by."""

    kind: Kind
    what: str
    n_bytes: float


def true_bpb(
    loss: ClaimedNumber | None, bpb: ClaimedNumber | None, count: TextCount, table_bytes: float | None
) -> float | None:
    """Bits per byte of the raw text; None where the claims do not determine it."""
    if not count.raw_bytes:
        return None
    if loss is not None:
        return bits_per_byte(loss.value * count.tokens, count.raw_bytes)
    if bpb is not None and table_bytes:
        return bpb.value * table_bytes / count.raw_bytes
    return None


def claimed_bpb(
    loss: ClaimedNumber | None, bpb: ClaimedNumber | None, count: TextCount, table_bytes: float | None
) -> float | None:
    """As claimed; else of the claimed loss by the table; None where neither says."""
    if bpb is not None:
        return bpb.value
    if loss is not None and table_bytes:
        return bits_per_byte(loss.value * count.tokens, 1) / table_bytes
    return None


def check_claims(
    loss: ClaimedNumber, bpb: ClaimedNumber, count: TextCount, vocabulary: TokenVocabulary, table_bytes: float | None
) -> list[Finding]:
    """What the two claims together show; nothing where they agree with the raw text, or with the table given.

    The claims are first taken as exact; where nothing explains them so, as rounded to the digits that they have.
    """
    if not count.tokens:
        return []
    implied = bits_per_byte(loss.value, 1) / bpb.value
    low = bits_per_byte(loss.value - loss.half_unit, 1) / (bpb.value + bpb.half_unit)
    high = bits_per_byte(loss.value + loss.half_unit, 1) / max(bpb.value - bpb.half_unit, 1e-300)
    right = [count.raw_bytes, count.raw_bytes + count.added_spaces, *([] if table_bytes is None else [table_bytes])]
    others = _other_divisors(count, vocabulary)
    for bounds in (implied, implied), (low, high):
        interval = _Interval(implied, bounds[0] * (1 - _ROUNDING), bounds[1] * (1 + _ROUNDING))
        if any(interval.holds(n_bytes / count.tokens) for n_bytes in right):
            return []
        if (found := _explained(interval, count, others)) is not None:
            return [found]
    detail = f"{_implies(implied, count)}, which no known mistake gives: divide by the bytes of the text"
    return [Finding(kind="constant-divisor", detail=detail, tokens=count.tokens, bytes=_surplus(implied, count))]


@dataclass(frozen=True)
class _Interval:
    """Bytes per token that two claims imply."""

    implied: float
    low: float
    high: float

    def holds(self, bytes_per_token: float) -> bool:
        return self.low <= bytes_per_token <= self.high

    @property
    def width(self) -> float:
        return self.high / self.low - 1


def _explained(interval: _Interval, count: TextCount, others: Sequence[Divided]) -> Finding | None:
    """The mistake that gives what the claims imply; None if none does."""
    implies, surplus = _implies(interval.implied, count), _surplus(interval.implied, count)
    for other in others if interval.width < _DISTINCT else ():
        if interval.holds(other.n_bytes / count.tokens):
            detail = f"{implies}: they count {other.what}"
            return Finding(kind=other.kind, detail=detail, tokens=count.tokens, bytes=surplus)
    if _shortest(interval.low, interval.high) is not None:
        detail = f"{implies}, as if every text had that number: divide by the bytes of the text"
        return Finding(kind="constant-divisor", detail=detail, tokens=count.tokens, bytes=surplus)
    targets = count.raw_bytes / interval.implied
    lost = count.tokens - round(targets)
    is_whole = interval.holds(count.raw_bytes / round(targets)) if round(targets) else False
    if 0 < lost <= _LOST_SHARE * count.tokens and is_whole:
        detail = (
            f"{implies}: the loss of {lost:,} tokens was not counted and their bytes were, as happens to the first "
            "target of each row, or to a last batch that is not full; count their loss, or leave out their bytes"
        )
        return Finding(kind="lost-targets", detail=detail, tokens=lost, bytes=0)
    return None


def _implies(implied: float, count: TextCount) -> str:
    return f"the claims imply {implied:.5g} bytes per token, and the text has {count.raw_bytes / count.tokens:.5g}"


def _surplus(implied: float, count: TextCount) -> int:
    return round(implied * count.tokens) - count.raw_bytes


def _other_divisors(count: TextCount, vocabulary: TokenVocabulary) -> list[Divided]:
    """Known wrong totals of the text."""
    counts, true = count.token_counts, true_entries(vocabulary)
    special = np.array(
        [len(vocabulary.written[i].encode()) if i in vocabulary.special else 0 for i in range(len(true))]
    )
    own: Kind = (
        "missing-space-piece"
        if count.spaces_as_bytes
        else "altered-text"
        if count.altered_stretches
        else "double-space"
    )
    by_table = [
        Divided(mistake.kind, mistake.what, float(counts @ mistaken_entries(vocabulary, mistake)))
        for mistake in MISTAKES
    ]
    return [
        Divided("characters-for-bytes", "the characters of the text", count.characters),
        Divided(own, "the bytes of the tokens, and not those of the raw text", float(counts @ true)),
        Divided("special-tokens", "special tokens as text", float(counts @ (true + special))),
        *by_table,
    ]


def _shortest(low: float, high: float) -> float | None:
    """A number of at most `_CONSTANT_DIGITS` significant digits in the interval; None if there is none."""
    for digits in range(1, _CONSTANT_DIGITS + 1):
        rounded = float(f"{(low + high) / 2:.{digits}g}")
        if low <= rounded <= high:
            return rounded
    return None
