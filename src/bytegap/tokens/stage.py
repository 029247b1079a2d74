"""The tokens stage: each of a study's tokenizers prepared on the training split, and the split as its symbols.

Reads `corpus/`. Writes, for each tokenizer, `tokens/NAME/train.sym`, the documents in their order with EOS after each,
`tokens/NAME/lengths`, the bytes of each symbol, whatever the tokenizer keeps of itself, and last
`tokens/NAME/manifest.json`.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bytegap import plugins, shards
from bytegap.console import say, track
from bytegap.records import CorpusManifest, TokensManifest, WindowsManifest, digest
from bytegap.store import Folder, new_folder, read_record, standing, write_record
from bytegap.study import Study
from bytegap.symbols import Tokenizer, reopen
from bytegap.tokens import scoring

# A document is encoded in pieces, pieces in batches: memory is bounded whatever a document's length.
_PIECE_BYTES = 1 << 20
_BATCH_BYTES = 1 << 22


def run(study: Study, folder: Folder) -> WindowsManifest:
    """Every tokenizer of the study and the scoring windows common to them, prepared or found standing."""
    corpus = read_record(folder.corpus_manifest, CorpusManifest, "corpus")
    manifests = {name: symbols_of(name, study, folder) for name in study.tokens}
    tokenizers = {name: reopen(folder, manifest) for name, manifest in manifests.items()}
    return scoring.run(study, folder, corpus, manifests, tokenizers)


def symbols_of(name: str, study: Study, folder: Folder) -> TokensManifest:
    """One tokenizer, prepared or found standing, and the training split as its symbols."""
    plugin = study.tokens[name]
    train = read_record(folder.corpus_manifest, CorpusManifest, "corpus").splits["train"]
    options = plugins.options("tokens", plugin.name, plugin.options)
    kind = plugins.load("tokens", plugin.name)
    inputs = digest(
        {
            "train": train.model_dump(mode="json"),
            "kind": plugin.name,
            "options": options.model_dump(mode="json"),
            "fingerprint": kind.fingerprint(options),
        }
    )
    place = folder.tokens_of(name)
    manifest = standing(place / "manifest.json", TokensManifest, inputs)
    if manifest is not None:
        say("tokens", f"{_summary(manifest)} (up to date)")
        return manifest
    with new_folder(place) as building:
        documents = shards.documents_of(folder.corpus, train)
        documents = track(documents, f"reading to learn {name}", total=train.documents)
        text = (piece for document in documents for piece, _ in _pieces(document))
        tokenizer: Tokenizer = kind.prepare(options, text, building)
        vocabulary = len(tokenizer.symbol_bytes)
        lengths = np.array([len(piece) for piece in tokenizer.symbol_bytes], np.uint32)
        documents = shards.documents_of(folder.corpus, train)
        documents = track(documents, f"encoding as {name}", total=train.documents)
        stream = shards.write_array(
            building,
            "train.sym",
            shards.smallest_dtype(vocabulary + 2),
            _symbols(tokenizer, documents, lengths),
        )
        manifest = TokensManifest(
            inputs=inputs,
            name=name,
            kind=plugin.name,
            vocabulary=vocabulary,
            stream=stream,
            lengths=shards.write_array(
                building, "lengths", shards.smallest_dtype(max(256, int(lengths.max()))), [lengths]
            ),
            bytes=train.bytes,
            symbols=stream.length,
            escaped_bytes=tokenizer.escaped_bytes,
        )
        write_record(building / "manifest.json", manifest)
    say("tokens", _summary(manifest))
    return manifest


def _symbols(
    tokenizer: Tokenizer, documents: Iterable[bytes], lengths: NDArray[np.uint32]
) -> Iterator[NDArray[np.unsignedinteger]]:
    """The symbols of documents end to end, EOS after each, a batch at a time; their lengths add up to the text's."""
    dtype = shards.smallest_dtype(len(lengths) + 2)
    eos = np.array([len(lengths)], dtype)
    all_single = bool((lengths == 1).all())
    for batch in _batches(documents):
        parts: list[NDArray[np.unsignedinteger]] = []
        for (piece, ends), symbols in zip(batch, tokenizer.encode_batch([piece for piece, _ in batch]), strict=True):
            covered = len(symbols) if all_single else lengths[symbols].sum()
            assert covered == len(piece), "symbols do not cover their text"
            parts += [symbols, eos] if ends else [symbols]
        yield np.concatenate(parts, dtype=dtype, casting="same_kind")


def _batches(documents: Iterable[bytes]) -> Iterator[list[tuple[bytes, bool]]]:
    batch: list[tuple[bytes, bool]] = []
    n_bytes = 0
    for document in documents:
        for piece, ends in _pieces(document):
            batch.append((piece, ends))
            n_bytes += len(piece)
            if n_bytes >= _BATCH_BYTES:
                yield batch
                batch, n_bytes = [], 0
    if batch:
        yield batch


def _pieces(document: bytes) -> Iterator[tuple[bytes, bool]]:
    """The document, a long one cut before a space, and whether the piece is its last."""
    begin = 0
    while len(document) - begin > _PIECE_BYTES:
        end = document.rfind(b" ", begin + 1, begin + _PIECE_BYTES)
        if end < 0:
            end = begin + _PIECE_BYTES
            while document[end] & 0xC0 == 0x80 and end > begin + 1:  # inside a code point
                end -= 1
        yield document[begin:end], False
        begin = end
    yield document[begin:], True


def _summary(manifest: TokensManifest) -> str:
    escaped = f", {manifest.escaped_bytes:,} bytes escaped" if manifest.escaped_bytes else ""
    return (
        f"{manifest.name}: V = {manifest.vocabulary:,}, {manifest.symbols:,} symbols, "
        f"{manifest.bytes_per_symbol:.3f} bytes a symbol{escaped}"
    )
