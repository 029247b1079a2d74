"""A given SentencePiece `.model`; a copy is kept with the study.

The leading space that SentencePiece adds is not a byte of the text, and the spaces that it drops are: both habits are
switched off.
Its normalizer stays: `lossless` finds what it alters.
V counts all pieces, those included that stand for no text and are never produced (`<unk>`, `<s>`, `</s>`).
"""

from pathlib import Path
from typing import Any, ClassVar, Protocol

import sentencepiece
from google.protobuf.message import DecodeError
from pydantic.dataclasses import dataclass
from sentencepiece import sentencepiece_model_pb2

from bytegap.data.given_vocab import GivenVocabulary
from bytegap.data.lossless import Lossless, Segment
from bytegap.errors import TokenizerError

KEPT = "tokenizer.model"

_Model: Any = vars(sentencepiece_model_pb2)["ModelProto"]  # made at import, so that no type checker sees it


class _Piece(Protocol):
    piece: str
    type: int


@dataclass(frozen=True)
class SentencePiece(GivenVocabulary):
    """A SentencePiece vocabulary; the file is a `.model` file, of BPE or unigram type."""

    kept: ClassVar[str] = KEPT

    @staticmethod
    def read(path: Path, name: str) -> Lossless:
        """The model at `path`, called `name` in messages; TokenizerError if it is not one."""
        model = _parsed(path, name)
        model.normalizer_spec.add_dummy_prefix = False
        model.normalizer_spec.remove_extra_whitespaces = False
        processor = _processor(model, name)  # first, because it refuses a model that no text can be read from
        return Lossless(name, [_bytes(piece) for piece in model.pieces], processor.encode)


@dataclass(frozen=True)
class PieceText:
    """A piece of a model."""

    written: str
    text: bytes
    """That it stands for; empty for none."""
    is_unknown: bool


def read_pieces(path: Path, name: str) -> list[PieceText]:
    """The pieces of the model at `path`; TokenizerError if it is not one."""
    model = _parsed(path, name)
    _processor(model, name)  # refuses a model that no text can be read from
    unknown = _Model.SentencePiece.UNKNOWN
    return [PieceText(piece.piece, _bytes(piece), piece.type == unknown) for piece in model.pieces]


def as_written(path: Path, name: str) -> tuple[Segment, Segment]:
    """How the model segments texts and what follows a cut in one, as its file says.

    After a cut, no space is put in front, unless it replaces white space that the model strips.
    """
    model = _parsed(path, name)
    from_start = _processor(model, name)
    model.normalizer_spec.add_dummy_prefix = model.normalizer_spec.remove_extra_whitespaces
    return from_start.encode, _processor(model, name).encode


def _parsed(path: Path, name: str) -> Any:
    model = _Model()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, RuntimeError, UnicodeDecodeError) as error:
        raise _not_a_model(name, error) from None
    return model


def _processor(model: Any, name: str) -> sentencepiece.SentencePieceProcessor:
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    except (RuntimeError, UnicodeDecodeError) as error:
        raise _not_a_model(name, error) from None


def _not_a_model(name: str, error: Exception) -> TokenizerError:
    return TokenizerError(f"{name} is not a SentencePiece model ({error}): name a .model file")


def _bytes(piece: _Piece) -> bytes:
    """The text that a piece stands for."""
    if piece.type == _Model.SentencePiece.BYTE:
        return bytes.fromhex(piece.piece.removeprefix("<0x").removesuffix(">"))
    if piece.type in {_Model.SentencePiece.NORMAL, _Model.SentencePiece.USER_DEFINED}:
        return piece.piece.replace("\u2581", " ").encode()
    return b""
