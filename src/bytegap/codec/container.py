"""The compressed file: a header that says what it is and of which run, then the code.

bytes  what
4      "BGAP"
1      version
1      how the text is held: 0 as it is, 1 coded by a model
6      id of the run
4      first bytes of the SHA-256 of what the model answers on the machine that wrote (0 where it is not asked)
6      bytes of the text
6      symbols of the text
8      first bytes of the text's SHA-256
4      first bytes of the SHA-256 of all that is above
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from bytegap.errors import CodecError

VERSION = 1
STORED, CODED = 0, 1
_MAGIC = b"BGAP"
_LAYOUT = struct.Struct("<4sBB6s4s6s6s8s")


@dataclass(frozen=True)
class Header:
    """What is known of the text without its code."""

    held: int
    run: str
    answers: bytes
    length_bytes: int
    symbols: int
    sha256: bytes

    def packed(self) -> bytes:
        """40 bytes."""
        run, length, symbols = bytes.fromhex(self.run), _six(self.length_bytes), _six(self.symbols)
        head = _LAYOUT.pack(_MAGIC, VERSION, self.held, run, self.answers, length, symbols, self.sha256)
        return head + _check(head)


def _check(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:4]


def _six(number: int) -> bytes:
    return number.to_bytes(6, "little")


def unpack(path: Path, data: bytes) -> tuple[Header, bytes]:
    """(header, code) of a compressed file; CodecError where it is none, or of another version."""
    head, check, code = data[: _LAYOUT.size], data[_LAYOUT.size : _LAYOUT.size + 4], data[_LAYOUT.size + 4 :]
    if not data.startswith(_MAGIC):
        message = f"{path} is not what 'bytegap compress' writes: its first bytes are {data[:4]!r}"
        raise CodecError(message)
    if check != _check(head):
        message = f"{path} is damaged: its header is not as it was written"
        raise CodecError(message)
    _, version, held, run, answers, length, symbols, sha256 = _LAYOUT.unpack(head)
    if version != VERSION:
        message = f"{path} is of version {version}, this bytegap reads version {VERSION}: use the one that wrote it"
        raise CodecError(message)
    return Header(held, run.hex(), answers, _number(length), _number(symbols), sha256), code


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
