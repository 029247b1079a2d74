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
from bytegap.data.lossless import Lossless
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
        model = _Model()
        try:
            model.ParseFromString(path.read_bytes())
            model.normalizer_spec.add_dummy_prefix = False
            model.normalizer_spec.remove_extra_whitespaces = False
            processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
        except (DecodeError, RuntimeError, UnicodeDecodeError) as error:
            raise TokenizerError(f"{name} is not a SentencePiece model ({error}): name a .model file") from None
        return Lossless(name, [_bytes(piece) for piece in model.pieces], processor.encode)


def _bytes(piece: _Piece) -> bytes:
    """The text that a piece stands for."""
    if piece.type == _Model.SentencePiece.BYTE:
        return bytes.fromhex(piece.piece.removeprefix("<0x").removesuffix(">"))
    if piece.type in {_Model.SentencePiece.NORMAL, _Model.SentencePiece.USER_DEFINED}:
        return piece.piece.replace("\u2581", " ").encode()
    return b""
