"""A given SentencePiece `.model`; a copy is kept with the study.

The leading space that SentencePiece adds is not a byte of the text, nor are the spaces that it drops bytes to lose:
both habits are switched off. Its normaliser stays: `lossless` finds out what it alters. V counts all pieces, those
included that stand for no text and are never produced (`<unk>`, `<s>`, `</s>`).
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sentencepiece
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2

from bytegap import plugins
from bytegap.errors import TokensError
from bytegap.store import file_digest
from bytegap.tokens.lossless import Lossless, given_file

_KEPT = "tokenizer.model"

_Model: Any = vars(sentencepiece_model_pb2)["ModelProto"]  # made when imported, so no type checker sees it
_Piece = _Model.SentencePiece


class Options(plugins.Options):
    """The vocabulary."""

    file: str
    """A `.model` file, of BPE or unigram kind."""


def fingerprint(options: Options) -> str:
    """SHA-256 of the file."""
    return file_digest(given_file(options.file))


def prepare(options: Options, training_documents: Iterable[bytes], folder: Path) -> Lossless:  # noqa: ARG001
    """Keep a copy of the vocabulary; nothing is learned from the text."""
    shutil.copyfile(given_file(options.file), folder / _KEPT)
    return _read(folder / _KEPT, options.file)


def reopen(folder: Path) -> Lossless:
    """The copy that `prepare` kept."""
    return _read(folder / _KEPT, str(folder / _KEPT))


def _read(path: Path, vocabulary: str) -> Lossless:
    model = _Model()
    try:
        model.ParseFromString(path.read_bytes())
        model.normalizer_spec.add_dummy_prefix = False
        model.normalizer_spec.remove_extra_whitespaces = False
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    except (DecodeError, RuntimeError, UnicodeDecodeError) as error:
        message = f"{vocabulary} is not a SentencePiece model ({error}): name a .model file"
        raise TokensError(message) from None
    return Lossless(vocabulary, [_bytes(piece) for piece in model.pieces], processor.encode)


def _bytes(piece: Any) -> bytes:
    """The text that a piece stands for."""
    if piece.type == _Piece.BYTE:
        return bytes.fromhex(piece.piece.removeprefix("<0x").removesuffix(">"))
    if piece.type in {_Piece.NORMAL, _Piece.USER_DEFINED}:
        return piece.piece.replace("\u2581", " ").encode()
    return b""
