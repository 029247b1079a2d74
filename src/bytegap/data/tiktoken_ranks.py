"""The tokens of a `.tiktoken` file: base64 of a token's bytes and its rank, which is its id, on each line."""

import base64
from pathlib import Path

from bytegap.errors import TokenizerError


def read_ranks(path: Path, name: str) -> dict[bytes, int]:
    """The bytes and rank of each token; TokenizerError where a line is malformed, or a byte has no token."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            piece, rank = line.split()
            ranks[base64.b64decode(piece, validate=True)] = int(rank)
        except ValueError:
            raise TokenizerError(f"{name}, line {number} is not base64 and a rank: name a .tiktoken file") from None
    absent = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if absent:
        raise TokenizerError(f"{name} has no token for the byte 0x{absent[0]:02X}: it is not a complete .tiktoken file")
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise TokenizerError(f"{name} has ranks other than 0, 1, 2 ..., each once: it is not a complete .tiktoken file")
    return ranks
