"""Whether the rows of runs.jsonl can be fitted together, and agree with themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isclose, log
from typing import Literal

from bytegap.errors import FitError
from bytegap.schema.runs import RunRow

_TOLERANCE = 1e-9
"""Relative: what sums of float64 in another order may differ by."""
_EACH_TEXT = "fit the runs of each text separately"
_COLLECT = "run 'bytegap collect' again"


@dataclass(frozen=True)
class _Equal:
    """Columns that must be equal within the finished runs, or within all runs of an arm or of a tokenizer."""

    columns: tuple[str, ...]
    within: Literal["finished runs", "arm", "tokenizer"]
    otherwise: str
    """What it means if they differ."""
    fix: str


_RULES = (
    _Equal(
        ("windows_sha256",), "finished runs",
        "the runs were scored on different scoring windows, so their BPB cannot be compared", _EACH_TEXT,
    ),
    _Equal(
        ("edge",), "finished runs",
        "the runs were scored in windows that end differently, so their BPB cannot be compared",
        "fit the runs of each edge separately",
    ),
    _Equal(("document_bytes",), "finished runs", "the runs were scored on different held-out documents", _EACH_TEXT),
    _Equal(
        (
            "tokenizer", "objective", "objective_options", "tight_likelihood", "permutation", "permutation_options",
            "model", "model_options",
        ),
        "arm", "the runs of an arm differ in more than size, budget and seed", "give each kind an arm of its own",
    ),
    _Equal(
        ("tokenizer_kind", "vocab_size", "unigram_bpb", "bigram_bpb"), "tokenizer",
        "two tokenizers have one name", "give each a name of its own",
    ),
)  # fmt: skip


def check_rows(rows: Sequence[RunRow]) -> None:
    """FitError unless each run has one row, their scores agree with themselves, and `_RULES` hold."""
    if not rows:
        raise FitError("there are no runs to fit: run 'bytegap train', then 'bytegap collect'")
    names = [row.run for row in rows]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise FitError(f"run {repeated[0]} has two rows: keep one of them")
    scored = [row for row in rows if row.status == "finished" and row.bpb is not None]
    by_document = any(row.document_nats for row in scored)
    for row in scored:
        _check_scores(row, by_document=by_document)
    for rule in _RULES:
        for column in rule.columns:
            _check_equal(rows, rule, column)


def _check_scores(row: RunRow, *, by_document: bool) -> None:
    """FitError unless the BPBs are numbers above 0 and those of the documents' nats; `by_document`: runs have these."""
    if by_document and not row.document_nats:
        raise FitError(f"run {row.run} has no 'document_nats', which other runs have: {_COLLECT}, or train it again")
    for column, bpb, nats_H in _scores(row):
        if not 0 < bpb < inf:
            raise FitError(f"run {row.run} finished with {column} = {bpb:g}, which is not above 0: {_COLLECT}")
        if nats_H is None:
            continue
        if len(nats_H) != len(row.document_bytes):
            raise FitError(
                f"run {row.run} has {len(nats_H)} documents' nats for {column} and {len(row.document_bytes)} "
                f"documents' bytes: {_COLLECT}"
            )
        n_bytes = sum(row.document_bytes)
        if nats_H and not isclose(sum(nats_H), bpb * log(2) * n_bytes, rel_tol=_TOLERANCE):
            raise FitError(
                f"run {row.run} has {column} = {bpb:.10g}, but its documents have {sum(nats_H):.10g} nats in "
                f"{n_bytes} bytes: {_COLLECT}"
            )


def _scores(row: RunRow) -> Iterator[tuple[str, float, tuple[float, ...] | None]]:
    """(column, BPB, nats by document) of the study's edge and of all others; None where the row does not have them."""
    assert row.bpb is not None
    yield "bpb", row.bpb, row.document_nats
    for edge, bpb in row.bpb_by_edge.items():
        yield f"bpb_by_edge.{edge}", bpb, row.document_nats_by_edge.get(edge)


def _check_equal(rows: Sequence[RunRow], rule: _Equal, column: str) -> None:
    first: dict[str, RunRow] = {}
    for row in rows:
        if rule.within == "finished runs" and row.status != "finished":
            continue
        group = {"finished runs": "", "arm": row.arm, "tokenizer": row.tokenizer}[rule.within]
        one = first.setdefault(group, row)
        if not _are_equal(getattr(one, column), getattr(row, column)):
            of = f" of {rule.within} {group}" if group else ""
            raise FitError(f"{rule.otherwise}: '{column}' differs between runs {one.run} and {row.run}{of}; {rule.fix}")


def _are_equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=_TOLERANCE)
    return one == other
