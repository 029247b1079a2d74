"""Prepare each tokenizer of a study on the training split, and encode the split.

Reads `corpus/`.
Writes, for each tokenizer, `tokens/NAME/train.tokens`, the documents in their order with EOS after each,
`tokens/NAME/lengths`, the bytes of each token, whatever the tokenizer keeps of itself, and last
`tokens/NAME/manifest.json`; then the scoring windows (`eval_windows.py`).
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bytegap.console import say, track
from bytegap.data import eval_windows
from bytegap.data.tokenizers.base import Tokenizer, load_prepared, tokenizer_spec
from bytegap.io.arrays import describe_file, documents_of, smallest_dtype, write_array
from bytegap.io.atomic import replace_dir
from bytegap.io.records import write_record
from bytegap.schema.base import digest
from bytegap.schema.data import Split, TokenizerManifest, WindowsManifest
from bytegap.study.config import Study
from bytegap.study.directory import TOKENIZER, StudyDir

# A document is encoded in pieces, and pieces in batches, so that memory is bounded whatever a document's length.
_PIECE_BYTES = 1 << 20
_BATCH_BYTES = 1 << 22

Piece = tuple[bytes, bool]
"""Text, and whether a document ends with it."""


def run(study: Study, study_dir: StudyDir) -> WindowsManifest:
    """Prepare every tokenizer of the study, and the scoring windows common to them, unless that is done."""
    corpus = study_dir.corpus()
    manifests = {name: tokenize_with(name, study, study_dir) for name in study.tokenizers}
    tokenizers = {name: load_prepared(manifest, study_dir.tokenizer_dir(name)) for name, manifest in manifests.items()}
    return eval_windows.run(study, study_dir, corpus, manifests, tokenizers)


def tokenize_with(name: str, study: Study, study_dir: StudyDir) -> TokenizerManifest:
    """Prepare one tokenizer and encode the training split with it, unless that is done."""
    options = study.tokenizers[name]
    spec = tokenizer_spec(options.name, options.options)
    train = study_dir.corpus().splits["train"]
    inputs = inputs_sha256(study, name, train)
    folder = study_dir.tokenizer_dir(name)
    manifest = study_dir.load_if_current(TOKENIZER, inputs, name)
    if manifest is not None:
        say("tokenize", f"{_summary(manifest)} (up to date)")
        return manifest
    with replace_dir(folder) as building:
        documents = documents_of(study_dir.corpus_dir, train)
        documents = track(documents, f"reading to learn {name}", total=train.documents)
        tokenizer = spec.prepare((text for document in documents for text, _ in _pieces(document)), building)
        kept = tuple(describe_file(building, path.name) for path in sorted(building.iterdir()))
        vocab_size = len(tokenizer.token_bytes)
        lengths = np.array([len(piece) for piece in tokenizer.token_bytes], np.uint32)
        documents = documents_of(study_dir.corpus_dir, train)
        documents = track(documents, f"encoding with {name}", total=train.documents)
        tokens = _encode(tokenizer, documents, lengths)
        stream = write_array(building, "train.tokens", smallest_dtype(vocab_size + 2), tokens)
        manifest = TokenizerManifest(
            inputs_sha256=inputs,
            name=name,
            kind=options.name,
            vocab_size=vocab_size,
            stream=stream,
            lengths=write_array(building, "lengths", smallest_dtype(max(256, int(lengths.max()))), [lengths]),
            bytes=train.bytes,
            tokens=stream.length,
            escaped_bytes=tokenizer.escaped_bytes,
            kept=kept,
        )
        write_record(building / TOKENIZER.file_name, manifest)
    say("tokenize", _summary(manifest))
    return manifest


def inputs_sha256(study: Study, name: str, train: Split) -> str:
    """Hash of all that decides a tokenizer: the training text, its table in the study and its files' content.

    TokenizerError where a file that it reads is missing.
    """
    options = study.tokenizers[name]
    return digest(
        {
            "train": train.model_dump(mode="json"),
            "kind": options.name,
            "options": options.options,
            "fingerprint": tokenizer_spec(options.name, options.options).fingerprint(),
        }
    )


def _encode(
    tokenizer: Tokenizer, documents: Iterable[bytes], lengths: NDArray[np.uint32]
) -> Iterator[NDArray[np.unsignedinteger]]:
    """The tokens of documents end to end, EOS after each, a batch at a time; checks that they cover the text."""
    dtype = smallest_dtype(len(lengths) + 2)
    eos = np.array([len(lengths)], dtype)
    all_single = bool((lengths == 1).all())
    for batch in _batches(documents):
        parts: list[NDArray[np.unsignedinteger]] = []
        for (text, ends), tokens in zip(batch, tokenizer.encode_batch([text for text, _ in batch]), strict=True):
            covered = len(tokens) if all_single else lengths[tokens].sum()
            assert covered == len(text), "tokens do not cover their text"
            parts += [tokens, eos] if ends else [tokens]
        yield np.concatenate(parts, dtype=dtype, casting="same_kind")


def _batches(documents: Iterable[bytes]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    n_bytes = 0
    for document in documents:
        for text, ends in _pieces(document):
            batch.append((text, ends))
            n_bytes += len(text)
            if n_bytes >= _BATCH_BYTES:
                yield batch
                batch, n_bytes = [], 0
    if batch:
        yield batch


def _pieces(document: bytes) -> Iterator[Piece]:
    """The document, a long one cut before spaces."""
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


def _summary(manifest: TokenizerManifest) -> str:
    escaped = f", {manifest.escaped_bytes:,} bytes escaped" if manifest.escaped_bytes else ""
    return (
        f"{manifest.name}: V = {manifest.vocab_size:,}, {manifest.tokens:,} tokens, "
        f"{manifest.bytes_per_token:.3f} bytes per token{escaped}"
    )
