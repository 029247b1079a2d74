"""Where the numbers come from: corpus, tokenizers, scoring windows, plan, fit, versions, as a table of facts."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Table
from bytegap.schema.data import Edge, ScoringSplit

_EDGES: dict[Edge, str] = {
    "tokens": "tokens: boundaries of all tokenizers",
    "words": "words: before white space",
    "any": "any: at any code point",
}
_PACKAGES = ("bytegap", "altair", "vl-convert-python", "pydantic")


class _Fact(NamedTuple):
    subject: str
    name: str
    value: str | float | int
    text: str
    """The value as the page shows it."""
    file: str
    """The record that holds it, relative to the study directory; empty if none does."""


_ABOUT = About(
    name="provenance",
    title="Provenance",
    caption="Corpus, tokenizers, scoring windows, execution settings and fit behind every number above.",
    source="",
)
_COLUMNS: tuple[Column[_Fact], ...] = (
    Column("what", "subject", lambda fact: fact.subject),
    Column("which", "property", lambda fact: fact.name),
    Column("value", "value", lambda fact: fact.value, str, lambda fact: fact.text),
    Column("file", "record", lambda fact: fact.file, href=lambda fact: f"../{fact.file}" if fact.file else ""),
)


def table(inputs: Inputs) -> Table:
    """One row per fact, linking to its record."""
    facts = [
        *_corpus(inputs),
        *_tokenizers(inputs),
        *_windows(inputs),
        *_plan(inputs),
        *_fit(inputs),
        *_versions(),
    ]
    return Table.of(_ABOUT, facts, _COLUMNS)


def _integer(subject: str, name: str, value: int, file: str) -> _Fact:
    return _Fact(subject, name, value, fmt.integer(value), file)


def _string(subject: str, name: str, value: str, file: str) -> _Fact:
    return _Fact(subject, name, value, value, file)


def _corpus(inputs: Inputs) -> Iterator[_Fact]:
    if (corpus := inputs.corpus) is None:
        return
    file = "corpus/manifest.json"
    yield _string("corpus", "source", corpus.source, file)
    yield _integer("corpus", "documents read", corpus.documents_read, file)
    yield _integer("corpus", "duplicates dropped", corpus.duplicates_dropped, file)
    yield _integer("corpus", "empty dropped", corpus.empty_dropped, file)
    for name, split in corpus.splits.items():
        yield _integer("corpus", f"{name}, documents", split.documents, file)
        yield _integer("corpus", f"{name}, bytes", split.bytes, file)


def _tokenizers(inputs: Inputs) -> Iterator[_Fact]:
    for tokenizer in inputs.tokenizers:
        subject, file = f"tokenizer {tokenizer.name}", f"tokens/{tokenizer.name}/manifest.json"
        yield _string(subject, "kind", tokenizer.kind, file)
        yield _integer(subject, "vocab_size", tokenizer.vocab_size, file)
        yield _integer(subject, "training tokens", tokenizer.tokens, file)
        yield _integer(subject, "escaped bytes", tokenizer.escaped_bytes, file)


def _windows(inputs: Inputs) -> Iterator[_Fact]:
    if (windows := inputs.windows) is None:
        return
    file = "tokens/windows.json"
    yield _integer("windows", "context, bytes", windows.context_bytes, file)
    for name, seq_len in windows.seq_len.items():
        yield _integer("windows", f"training seq_len, {name} tokens", seq_len, file)
    yield _string("windows", "end at", _EDGES[windows.edge], file)
    for split_name, split in windows.splits.items():
        yield from _scoring_split(split_name, split)
        for name, scoring in split.tokenizers.items():
            entropy = scoring.count_entropy_bpb
            yield _Fact("windows", f"{split_name}, {name} H(S | bytes), BPB", entropy, fmt.bpb(entropy), file)
    for edge, splits in windows.other_edges.items():
        for split_name, split in splits.items():
            yield from _scoring_split(f"{split_name}, edge {edge}", split)


def _scoring_split(name: str, split: ScoringSplit) -> Iterator[_Fact]:
    """Windows of a held-out split; files older than `n_documents` state neither documents nor fallbacks."""
    file = "tokens/windows.json"
    yield _integer("windows", f"{name}, windows", split.windows, file)
    yield _integer("windows", f"{name}, bytes", split.bytes, file)
    if split.n_documents:
        yield _integer("windows", f"{name}, documents with a window", split.n_documents, file)
        yield _integer("windows", f"{name}, windows that end elsewhere", split.fallbacks, file)
    yield _Fact("windows", f"{name}, SHA-256", split.sha256, split.sha256[:12], file)


def _plan(inputs: Inputs) -> Iterator[_Fact]:
    if (plan := inputs.plan) is None:
        return
    file = "plan.json"
    yield _Fact("plan", "runs", len(plan.runs), str(len(plan.runs)), file)
    yield _Fact("plan", "rounds", plan.rounds, str(plan.rounds), file)
    # All arms are executed alike by construction. If they did not, every variant would be listed.
    for execution in dict.fromkeys(spec.execution for spec in plan.runs):
        for name, value in execution.model_dump().items():
            yield _string("execution", name, str(value), file)


def _fit(inputs: Inputs) -> Iterator[_Fact]:
    fit, file = inputs.fit, "fit.json"
    yield _string("fit", "FLOPs convention", fit.convention, file)
    yield _integer("fit", "bootstrap samples", fit.bootstraps, file)
    if fit.held_out_documents is not None:
        yield _integer("fit", "test documents", fit.held_out_documents, file)
    for baseline in fit.ngram_baselines:
        subject = f"tokenizer {baseline.tokenizer}"
        yield _Fact(subject, "unigram, BPB", baseline.unigram_bpb, fmt.bpb(baseline.unigram_bpb), file)
        yield _Fact(subject, "bigram, BPB", baseline.bigram_bpb, fmt.bpb(baseline.bigram_bpb), file)


def _versions() -> Iterator[_Fact]:
    for name in _PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:  # the package is used from a source tree and not installed
            continue
        yield _string("version", name, found, "")
