"""Cut the held-out text into scoring windows, once for all tokenizers of a study, and write the tokens of each.

Reads corpus/ and every tokens/NAME/; writes tokens/windows.json and its arrays in tokens/windows/.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bytegap.console import say, track, warn
from bytegap.cost.bits import bits_per_byte
from bytegap.data.excerpts import ArmTokenizer, DocumentWindows, Excerpts
from bytegap.data.ngrams import NgramCounts, count_entropy_bits, piece_length
from bytegap.data.tokenizers.base import Tokenizer
from bytegap.data.train_sequences import seq_len_for
from bytegap.errors import CorpusError, counted
from bytegap.io.arrays import documents_of, pieces_of, read_array, smallest_dtype, write_array
from bytegap.io.atomic import replace_dir
from bytegap.schema.base import ArrayFile, FrozenDict, digest
from bytegap.schema.data import (
    CorpusManifest,
    Edge,
    HeldOut,
    ScoringSet,
    ScoringSplit,
    Split,
    TokenizerManifest,
    WindowsManifest,
)
from bytegap.study.config import Study
from bytegap.study.directory import WINDOWS, StudyDir

HELD_OUT: tuple[HeldOut, ...] = ("validation", "test")
EDGES: tuple[Edge, ...] = ("tokens", "words", "any")
FEW_DOCUMENTS = 20
"""Test documents below which a warning says that the results are about these documents."""
FEW_BYTES = 50_000
"""Bytes of test text in windows below which a warning says so. The loss of windows of 128 bytes has a standard
deviation of a fifth of its mean (a byte 4-gram on English documentation), so 400 windows give the mean within 1 %."""
MOST_FALLBACKS = 0.05
"""Share of windows that end elsewhere above which a warning says so: there the edge does not do what it is for."""
_MISSED: dict[Edge, str] = {"tokens": "a boundary of every tokenizer", "words": "white space", "any": ""}
_REMEDY: dict[Edge, str] = {
    "tokens": "raise [context] bytes or tokens, leave out a tokenizer whose tokens are long, or set edges = 'any'",
    "words": "the text has few spaces: set edges = 'tokens' or 'any', or raise [context] bytes or tokens",
    "any": "",
}


@dataclass(frozen=True)
class _Prepared:
    """A tokenizer and what windows need of it."""

    manifest: TokenizerManifest
    arm: ArmTokenizer
    ngrams: NgramCounts


def run(
    study: Study,
    study_dir: StudyDir,
    corpus: CorpusManifest,
    manifests: Mapping[str, TokenizerManifest],
    tokenizers: Mapping[str, Tokenizer],
) -> WindowsManifest:
    """Make the scoring windows unless that is done; PlanError or CorpusError where the text is too short."""
    context_bytes = study.context.bytes or _longest_sequence_bytes(study.context.tokens, manifests)
    inputs = inputs_sha256(study, corpus, manifests)
    if current := study_dir.load_if_current(WINDOWS, inputs):
        say("tokenize", "scoring windows up to date")
        return current
    _check_context(study, context_bytes, corpus)
    seq_lens = {
        name: study.context.tokens or seq_len_for(context_bytes, manifest.bytes_per_token, name)
        for name, manifest in manifests.items()
    }
    prepared = {
        name: _prepare(study_dir, manifest, tokenizers[name], seq_lens[name]) for name, manifest in manifests.items()
    }
    excerpts = Excerpts(
        arms={name: each.arm for name, each in prepared.items()},
        context_bytes=context_bytes,
        edge=study.context.edges,
        most_bytes=study.corpus.held_out_bytes_per_document,
        seed=study.seed,
    )
    others: list[Edge] = [edge for edge in EDGES if edge != excerpts.edge]
    made: dict[HeldOut, dict[Edge, ScoringSplit]] = {}
    with replace_dir(study_dir.windows_dir) as out:
        for name in HELD_OUT:
            split = corpus.splits[name]
            documents = track(documents_of(study_dir.corpus_dir, split), f"cutting {name}", total=split.documents)
            made[name] = _cut_split(_Files(out, name), documents, excerpts, others if name == "test" else [], prepared)
    manifest = WindowsManifest(
        inputs_sha256=inputs,
        context_bytes=context_bytes,
        seq_len=FrozenDict(seq_lens),
        edge=study.context.edges,
        splits=FrozenDict((name, by_edge[excerpts.edge]) for name, by_edge in made.items()),
        other_edges=_other_edges(made["test"], others),
    )
    study_dir.write(WINDOWS, manifest)
    _report(manifest)
    return manifest


def _other_edges(
    test: Mapping[Edge, ScoringSplit], others: Iterable[Edge]
) -> FrozenDict[Edge, FrozenDict[HeldOut, ScoringSplit]]:
    key: HeldOut = "test"
    return FrozenDict((edge, FrozenDict[HeldOut, ScoringSplit]({key: test[edge]})) for edge in others)


def inputs_sha256(study: Study, corpus: CorpusManifest, manifests: Mapping[str, TokenizerManifest]) -> str:
    """Checksum of everything that windows are made from."""
    return digest(
        {
            "context": study.context.model_dump(mode="json"),
            "held_out": [corpus.splits[name].model_dump(mode="json") for name in HELD_OUT],
            "most_bytes": study.corpus.held_out_bytes_per_document,
            "seed": study.seed,
            "tokenizers": {name: manifest.content_sha256 for name, manifest in manifests.items()},
        }
    )


def _report(manifest: WindowsManifest) -> None:
    """Say how many windows there are, of how many documents, and how many end where they should not."""
    for name, split in manifest.splits.items():
        fallbacks = ""
        if split.fallbacks:
            fallbacks = f", {split.fallbacks:,} end elsewhere because {_MISSED[manifest.edge]} was not in reach"
        say(
            "tokenize",
            f"scoring windows of {name}: {counted(split.windows, 'window')} of "
            f"{counted(split.n_documents, 'document')}, {counted(split.bytes, 'byte')}{fallbacks}",
        )
        if split.fallbacks > MOST_FALLBACKS * split.windows:
            warn(
                "tokenize",
                f"{split.fallbacks / split.windows:.0%} of the {name} windows end elsewhere than [context] edges = "
                f"'{manifest.edge}' asks: {_REMEDY[manifest.edge]}",
            )
    test = manifest.splits["test"]
    if test.bytes < FEW_BYTES:
        warn(
            "tokenize",
            f"only {counted(test.bytes, 'byte')} of test text are scored, {FEW_BYTES:,} are needed for test losses "
            "within about 1 %: raise [corpus] held_out_bytes_per_document or test, or add text",
        )
    if test.n_documents < FEW_DOCUMENTS:
        warn(
            "tokenize",
            f"only {counted(test.n_documents, 'test document')}, {FEW_DOCUMENTS} are needed to say "
            "how results vary between documents: raise [corpus] test, with held_out_bytes_per_document, or add "
            "documents",
        )


def _longest_sequence_bytes(tokens: int | None, manifests: Mapping[str, TokenizerManifest]) -> int:
    """Bytes in a sequence of so many tokens, under the tokenizer with the longest tokens."""
    return ceil((tokens or 0) * max(manifest.bytes_per_token for manifest in manifests.values()))


def _check_context(study: Study, context_bytes: int, corpus: CorpusManifest) -> None:
    """CorpusError where documents, what is scored of them, or a held-out split, are shorter than a window."""
    longest = max(split.bytes / split.documents for split in corpus.splits.values())
    given = f"bytes = {context_bytes}" if study.context.bytes else f"tokens = {study.context.tokens}"
    if context_bytes > longest:
        raise CorpusError(
            f"[context] {given} is longer than the documents ({longest:.0f} bytes on average): shorten the context"
        )
    most_bytes = study.corpus.held_out_bytes_per_document
    if most_bytes is not None and most_bytes < context_bytes:
        raise CorpusError(
            f"[corpus] held_out_bytes_per_document = {most_bytes} is less than one window of {context_bytes} bytes "
            f"([context] {given}): give at least {context_bytes}, better a few thousand"
        )
    for name in HELD_OUT:
        held_out: Split = corpus.splits[name]
        if held_out.bytes < context_bytes:
            raise CorpusError(
                f"[corpus] {name}: {held_out.bytes} bytes are held out, less than one window of {context_bytes}: "
                "raise the fraction or add documents"
            )


def _prepare(study_dir: StudyDir, manifest: TokenizerManifest, tokenizer: Tokenizer, seq_len: int) -> _Prepared:
    folder = study_dir.tokenizer_dir(manifest.name)
    outcomes = manifest.vocab_size + 1
    length = piece_length(outcomes)
    pieces = pieces_of(folder, manifest.stream, length)
    tracked = track(pieces, f"counting {manifest.name}", total=-(-manifest.stream.length // length))
    lengths = np.append(read_array(folder, manifest.lengths).astype(np.int64), 0)
    return _Prepared(manifest, ArmTokenizer(tokenizer, lengths, seq_len), NgramCounts(tracked, outcomes))


@dataclass(frozen=True)
class _Files:
    """Where the arrays of a split go."""

    folder: Path
    stem: str

    def below(self, name: str) -> "_Files":
        """Where the arrays of a part of it go."""
        return _Files(self.folder, f"{self.stem}.{name}")

    def write(self, name: str, dtype: str, values: NDArray[np.generic]) -> ArrayFile:
        """Write one array to `STEM.name`."""
        return write_array(self.folder, f"{self.stem}.{name}", dtype, [values])


def _cut_split(
    files: _Files,
    documents: Iterable[bytes],
    excerpts: Excerpts,
    others: list[Edge],
    prepared: Mapping[str, _Prepared],
) -> dict[Edge, ScoringSplit]:
    """The windows of one split by edge: the study's own, and `others` on the same text."""
    found: dict[Edge, list[DocumentWindows]] = {edge: [] for edge in (excerpts.edge, *others)}
    begin = 0
    for text in documents:
        for edge, windows in excerpts.cut(text, others).items():
            found[edge].append(windows.after(begin))
        begin += len(text)
    return {
        edge: _write_split(files if edge == excerpts.edge else files.below(edge), own, prepared)
        for edge, own in found.items()
    }


def _write_split(files: _Files, documents: list[DocumentWindows], prepared: Mapping[str, _Prepared]) -> ScoringSplit:
    starts_W, ends_W = (np.concatenate([getattr(each, name) for each in documents]) for name in ("starts", "ends"))
    sizes_W = ends_W - starts_W
    checksum = hashlib.sha256(b"".join(each.text for each in documents) + np.cumsum(sizes_W).tobytes())
    return ScoringSplit(
        starts=files.write("starts", "uint64", starts_W),
        ends=files.write("ends", "uint64", ends_W),
        documents=files.write(
            "documents", "uint32", np.repeat(np.arange(len(documents)), [len(each.ends) for each in documents])
        ),
        n_documents=len(documents),
        fallbacks=sum(each.fallbacks for each in documents),
        windows=len(sizes_W),
        bytes=int(sizes_W.sum()),
        sha256=checksum.hexdigest(),
        tokenizers=FrozenDict(
            (name, _write_tokens(files.below(name), documents, sizes_W, each)) for name, each in prepared.items()
        ),
    )


def _write_tokens(
    files: _Files, documents: list[DocumentWindows], sizes_W: NDArray[np.int64], prepared: _Prepared
) -> ScoringSet:
    """The windows as one tokenizer's tokens, EOS after a document's last window, and the n-gram baselines on them."""
    name, V = prepared.manifest.name, prepared.manifest.vocab_size
    encoded: list[NDArray[np.integer]] = []
    for each in documents:
        encoded += each.tokens[name]
        if each.ends_document:
            encoded[-1] = np.append(encoded[-1], V)
    tokens = np.concatenate(encoded)
    counts_W = np.array([len(ids) for ids in encoded])
    total = int(sizes_W.sum())
    covered = np.add.reduceat(prepared.arm.lengths[tokens], np.cumsum(counts_W) - counts_W)
    assert np.array_equal(covered, sizes_W), "tokens have exactly the windows' bytes"
    return ScoringSet(
        tokens=files.write("tokens", smallest_dtype(V + 2), tokens),
        counts=files.write("counts", "uint32", counts_W),
        unigram_bpb=bits_per_byte(prepared.ngrams.unigram_nats(tokens), total),
        bigram_bpb=bits_per_byte(prepared.ngrams.bigram_nats(tokens, counts_W), total),
        count_entropy_bpb=count_entropy_bits(counts_W, sizes_W) * len(counts_W) / total,
    )
