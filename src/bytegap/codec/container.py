"""The compressed file: a header of 44 bytes, then the text or its code.

bytes  content
4      "BGAP"
1      version
1      what follows the header: 0 the text itself, 1 its code under a model
6      id of the run
4      fingerprint of the model on the machine that wrote the file (0 where the text itself follows)
6      bytes of the text
6      tokens of the text
8      first bytes of the text's SHA-256
4      first bytes of the SHA-256 of all fields above
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
_CHECK_BYTES = 4


@dataclass(frozen=True)
class Header:
    """What a compressed file says of its text."""

    content: int
    """`STORED` or `CODED`."""
    run: str
    fingerprint: bytes
    length_bytes: int
    tokens: int
    sha256: bytes
    """The first 8 bytes of the text's."""

    def packed(self) -> bytes:
        """The header as bytes, its checksum included."""
        run, length, tokens = bytes.fromhex(self.run), _six_bytes(self.length_bytes), _six_bytes(self.tokens)
        fields = _LAYOUT.pack(_MAGIC, VERSION, self.content, run, self.fingerprint, length, tokens, self.sha256)
        return fields + _check(fields)


def unpack(path: Path, data: bytes) -> tuple[Header, bytes]:
    """(header, what follows it) of a compressed file; CodecError where it is not one, or of another version."""
    size = _LAYOUT.size
    fields, check, content = data[:size], data[size : size + _CHECK_BYTES], data[size + _CHECK_BYTES :]
    if not data.startswith(_MAGIC):
        raise CodecError(f"{path} was not written by 'bytegap compress': its first bytes are {data[:4]!r}")
    if check != _check(fields):
        raise CodecError(f"{path} is damaged: checksum mismatch in its header; copy or compress the file again")
    _, version, kind, run, fingerprint, length, tokens, sha256 = _LAYOUT.unpack(fields)
    if version != VERSION:
        raise CodecError(
            f"{path} has version {version}, and this bytegap reads version {VERSION}: use the bytegap that wrote it"
        )
    return Header(kind, run.hex(), fingerprint, _number(length), _number(tokens), sha256), content


def _check(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_CHECK_BYTES]


def _six_bytes(number: int) -> bytes:
    return number.to_bytes(6, "little")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
