"""Cut the held-out text into scoring windows, once for all tokenizers of a study, and write each one's symbols.

Reads corpus/ and every tokens/NAME/; writes tokens/windows.json and the arrays beside it in tokens/windows/.
"""

import hashlib
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np

from bytegap.accounting.bits import bits_per_byte
from bytegap.console import say, track
from bytegap.errors import CorpusError
from bytegap.records import (
    CorpusManifest,
    ScoringSet,
    ScoringSplit,
    TokensManifest,
    WindowsManifest,
    digest,
)
from bytegap.shards import documents_of, pieces_of, read_array, smallest_dtype, write_array
from bytegap.store import Folder, new_folder, standing, write_record
from bytegap.study import Study
from bytegap.symbols import Tokenizer
from bytegap.tokens import ngrams
from bytegap.windows import cut, row_symbols

HELD_OUT: tuple[Literal["validation", "test"], ...] = ("validation", "test")


def run(
    study: Study,
    folder: Folder,
    corpus: CorpusManifest,
    manifests: dict[str, TokensManifest],
    tokenizers: dict[str, Tokenizer],
) -> WindowsManifest:
    """Make the scoring windows unless they stand; PlanError or CorpusError where the text is too short."""
    context_bytes = study.context.bytes or _longest_row_bytes(study.context.symbols, manifests)
    held_out = [corpus.splits[name].model_dump(mode="json") for name in HELD_OUT]
    length = study.context.bytes or {"symbols": study.context.symbols}
    inputs = digest([length, held_out, {n: m.content for n, m in manifests.items()}])
    if standing_windows := standing(folder.windows_manifest, WindowsManifest, inputs):
        say("tokens", "scoring windows up to date")
        return standing_windows
    longest = max(split.bytes / split.documents for split in corpus.splits.values())
    if context_bytes > longest:
        given = f"bytes = {context_bytes}" if study.context.bytes else f"symbols = {study.context.symbols}"
        message = (
            f"[context] {given} is longer than the documents ({longest:.0f} bytes on average): shorten the context"
        )
        raise CorpusError(message)
    rows = {
        name: study.context.symbols or row_symbols(context_bytes, manifest.bytes_per_symbol, name)
        for name, manifest in manifests.items()
    }
    counted = {name: _counted(folder, manifest) for name, manifest in manifests.items()}
    with new_folder(folder.tokens / "windows") as out:
        splits = {}
        for split_name in HELD_OUT:
            split = corpus.splits[split_name]
            if split.bytes < context_bytes:
                message = (
                    f"[corpus] {split_name}: {split.bytes} bytes are held out, less than one window of "
                    f"{context_bytes}: raise the fraction or add documents"
                )
                raise CorpusError(message)
            documents = list(documents_of(folder.corpus, split))
            ends = [
                list(cut(document, context_bytes, _Fits(tokenizers, rows)))
                for document in track(documents, f"cutting {split_name}")
            ]
            splits[split_name] = _write(out, split_name, documents, ends, manifests, tokenizers, counted)
    manifest = WindowsManifest(inputs=inputs, context_bytes=context_bytes, row_symbols=rows, splits=splits)
    write_record(folder.windows_manifest, manifest)
    say(
        "tokens",
        "scoring windows: "
        + ", ".join(f"{split.windows} of {name} ({split.bytes:,} bytes)" for name, split in splits.items()),
    )
    return manifest


def _longest_row_bytes(symbols: int | None, manifests: dict[str, TokensManifest]) -> int:
    """Text in a row of so many symbols, where it holds most."""
    return ceil((symbols or 0) * max(manifest.bytes_per_symbol for manifest in manifests.values()))


def _counted(folder: Folder, manifest: TokensManifest) -> ngrams.Counted:
    outcomes = manifest.vocabulary + 1
    step = ngrams.step(outcomes)
    pieces = pieces_of(folder.tokens_of(manifest.name), manifest.stream, step)
    shown = track(pieces, f"counting {manifest.name}", total=-(-manifest.stream.length // step))
    return ngrams.Counted(shown, outcomes)


class _Fits:
    """Whether every arm's row holds a text."""

    def __init__(self, tokenizers: dict[str, Tokenizer], rows: dict[str, int]) -> None:
        self.pairs = [(tokenizers[name], rows[name]) for name in tokenizers]

    def __call__(self, texts: list[bytes], n_eos: int) -> list[bool]:
        fit = [True] * len(texts)
        for tokenizer, row in self.pairs:
            encoded = tokenizer.encode_batch(texts)
            fit = [ok and len(ids) + n_eos <= row for ok, ids in zip(fit, encoded, strict=True)]
        return fit


def _write(  # noqa: PLR0913, PLR0917 - one call site, everything is named
    out: Path,
    split_name: str,
    documents: list[bytes],
    ends: list[list[int]],
    manifests: dict[str, TokensManifest],
    tokenizers: dict[str, Tokenizer],
    counted: dict[str, ngrams.Counted],
) -> ScoringSplit:
    texts = [
        document[start:end]
        for document, own in zip(documents, ends, strict=True)
        for start, end in zip([0, *own[:-1]], own, strict=True)
    ]
    last = np.concatenate([np.arange(1, len(own) + 1) == len(own) for own in ends])
    sizes = np.array([len(text) for text in texts])
    total = int(sizes.sum())
    assert total == sum(map(len, documents)), "every held-out byte once"
    checksum = hashlib.sha256(b"".join(texts) + np.cumsum(sizes).tobytes())

    tokens = {}
    for name, manifest in manifests.items():
        encoded = [
            np.append(ids, manifest.vocabulary) if final else ids
            for ids, final in zip(tokenizers[name].encode_batch(texts), last, strict=True)
        ]
        symbols = np.concatenate(encoded)
        counts = np.array([len(ids) for ids in encoded])
        lengths = np.append(read_array(out.parent / name, manifest.lengths).astype(np.int64), 0)
        assert int(lengths[symbols].sum()) == total, "symbols carry exactly the windows' bytes"
        bits = ngrams.count_entropy_bits(counts, sizes)
        tokens[name] = ScoringSet(
            symbols=write_array(
                out, f"{split_name}.{name}.symbols", smallest_dtype(manifest.vocabulary + 2), [symbols]
            ),
            counts=write_array(out, f"{split_name}.{name}.counts", "uint32", [counts]),
            unigram_bpb=bits_per_byte(counted[name].unigram_nats(symbols), total),
            bigram_bpb=bits_per_byte(counted[name].bigram_nats(symbols, counts), total),
            count_entropy_bpb=bits * len(texts) / total,
        )
    return ScoringSplit(
        ends=write_array(out, f"{split_name}.ends", "uint64", [np.cumsum(sizes)]),
        windows=len(texts),
        bytes=total,
        sha256=checksum.hexdigest(),
        tokens=tokens,
    )
