"""Cut the held-out text into scoring windows, once for all tokenizers of a study, and write the tokens of each.

Reads corpus/ and every tokens/NAME/; writes tokens/windows.json and its arrays in tokens/windows/.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bytegap.console import say, track
from bytegap.cost.bits import bits_per_byte
from bytegap.data.ngrams import NgramCounts, count_entropy_bits, piece_length
from bytegap.data.tokenizers.base import Tokenizer
from bytegap.data.train_sequences import seq_len_for
from bytegap.data.windows import window_ends
from bytegap.errors import CorpusError
from bytegap.io.arrays import documents_of, pieces_of, read_array, smallest_dtype, write_array
from bytegap.io.atomic import replace_dir
from bytegap.schema.base import FrozenDict, digest
from bytegap.schema.data import CorpusManifest, ScoringSet, ScoringSplit, Split, TokenizerManifest, WindowsManifest
from bytegap.study.config import Context, Study
from bytegap.study.directory import WINDOWS, StudyDir

HELD_OUT: tuple[Literal["validation", "test"], ...] = ("validation", "test")


@dataclass(frozen=True)
class _Prepared:
    """A tokenizer and what windows need of it."""

    tokenizer: Tokenizer
    manifest: TokenizerManifest
    seq_len: int
    ngrams: NgramCounts
    lengths: NDArray[np.int64]
    """Bytes of each token; 0 for EOS, which is last."""


def run(
    study: Study,
    study_dir: StudyDir,
    corpus: CorpusManifest,
    manifests: Mapping[str, TokenizerManifest],
    tokenizers: Mapping[str, Tokenizer],
) -> WindowsManifest:
    """Make the scoring windows unless that is done; PlanError or CorpusError where the text is too short."""
    context_bytes = study.context.bytes or _longest_sequence_bytes(study.context.tokens, manifests)
    held_out = [corpus.splits[name].model_dump(mode="json") for name in HELD_OUT]
    length = study.context.bytes or {"tokens": study.context.tokens}
    inputs = digest([length, held_out, {n: m.content_sha256 for n, m in manifests.items()}])
    if current := study_dir.load_if_current(WINDOWS, inputs):
        say("tokenize", "scoring windows up to date")
        return current
    _check_context(study.context, context_bytes, corpus)
    seq_lens = {
        name: study.context.tokens or seq_len_for(context_bytes, manifest.bytes_per_token, name)
        for name, manifest in manifests.items()
    }
    prepared = {
        name: _prepare(study_dir, manifest, tokenizers[name], seq_lens[name]) for name, manifest in manifests.items()
    }
    with replace_dir(study_dir.windows_dir) as out:
        splits = FrozenDict(
            (
                name,
                _cut_split(
                    out, name, list(documents_of(study_dir.corpus_dir, corpus.splits[name])), context_bytes, prepared
                ),
            )
            for name in HELD_OUT
        )
    manifest = WindowsManifest(
        inputs_sha256=inputs, context_bytes=context_bytes, seq_len=FrozenDict(seq_lens), splits=splits
    )
    study_dir.write(WINDOWS, manifest)
    counts = ", ".join(f"{split.windows} of {name} ({split.bytes:,} bytes)" for name, split in splits.items())
    say("tokenize", f"scoring windows: {counts}")
    return manifest


def _longest_sequence_bytes(tokens: int | None, manifests: Mapping[str, TokenizerManifest]) -> int:
    """Bytes in a sequence of so many tokens, under the tokenizer with the longest tokens."""
    return ceil((tokens or 0) * max(manifest.bytes_per_token for manifest in manifests.values()))


def _check_context(context: Context, context_bytes: int, corpus: CorpusManifest) -> None:
    """CorpusError where documents, or a held-out split, are shorter than a window."""
    longest = max(split.bytes / split.documents for split in corpus.splits.values())
    if context_bytes > longest:
        given = f"bytes = {context_bytes}" if context.bytes else f"tokens = {context.tokens}"
        raise CorpusError(
            f"[context] {given} is longer than the documents ({longest:.0f} bytes on average): shorten the context"
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
    return _Prepared(
        tokenizer=tokenizer,
        manifest=manifest,
        seq_len=seq_len,
        ngrams=NgramCounts(tracked, outcomes),
        lengths=np.append(read_array(folder, manifest.lengths).astype(np.int64), 0),
    )


def _fits(prepared: Mapping[str, _Prepared], texts: list[bytes], n_eos: int) -> list[bool]:
    """For each text, whether it fits every arm's sequence together with so many EOS."""
    fit = [True] * len(texts)
    for each in prepared.values():
        encoded = each.tokenizer.encode_batch(texts)
        fit = [ok and len(ids) + n_eos <= each.seq_len for ok, ids in zip(fit, encoded, strict=True)]
    return fit


def _cut_split(
    out: Path, name: str, documents: Sequence[bytes], context_bytes: int, prepared: Mapping[str, _Prepared]
) -> ScoringSplit:
    """The windows of one split, written to `out`."""
    ends = [
        list(window_ends(document, context_bytes, lambda texts, n_eos: _fits(prepared, texts, n_eos)))
        for document in track(documents, f"cutting {name}")
    ]
    texts = [
        document[start:end]
        for document, own in zip(documents, ends, strict=True)
        for start, end in zip([0, *own[:-1]], own, strict=True)
    ]
    last_W = np.concatenate([np.arange(1, len(own) + 1) == len(own) for own in ends])
    sizes_W = np.array([len(text) for text in texts])
    total = int(sizes_W.sum())
    assert total == sum(map(len, documents)), "every held-out byte once"
    checksum = hashlib.sha256(b"".join(texts) + np.cumsum(sizes_W).tobytes())
    return ScoringSplit(
        ends=write_array(out, f"{name}.ends", "uint64", [np.cumsum(sizes_W)]),
        windows=len(texts),
        bytes=total,
        sha256=checksum.hexdigest(),
        tokenizers=FrozenDict(
            (tokenizer, _encode_windows(out, f"{name}.{tokenizer}", texts, last_W, each))
            for tokenizer, each in prepared.items()
        ),
    )


def _encode_windows(
    out: Path, stem: str, texts: list[bytes], last_W: NDArray[np.bool_], prepared: _Prepared
) -> ScoringSet:
    """The windows as one tokenizer's tokens, EOS after a document's last window, and the n-gram baselines on them."""
    V = prepared.manifest.vocab_size
    encoded = [
        np.append(ids, V) if last else ids
        for ids, last in zip(prepared.tokenizer.encode_batch(texts), last_W, strict=True)
    ]
    tokens = np.concatenate(encoded)
    counts_W, sizes_W = np.array([len(ids) for ids in encoded]), np.array([len(text) for text in texts])
    total = int(sizes_W.sum())
    assert int(prepared.lengths[tokens].sum()) == total, "tokens have exactly the windows' bytes"
    return ScoringSet(
        tokens=write_array(out, f"{stem}.tokens", smallest_dtype(V + 2), [tokens]),
        counts=write_array(out, f"{stem}.counts", "uint32", [counts_W]),
        unigram_bpb=bits_per_byte(prepared.ngrams.unigram_nats(tokens), total),
        bigram_bpb=bits_per_byte(prepared.ngrams.bigram_nats(tokens, counts_W), total),
        count_entropy_bpb=count_entropy_bits(counts_W, sizes_W) * len(texts) / total,
    )
