"""Symbols into code and back, by the probabilities that an autoregressive run gives them.

Both ways go through `_walk`, the one incremental path, with the same rows at the same time, so that both see the same
probabilities to the bit. The text's symbols are cut into rows of S, as `evaluate` cuts them; many rows are read side by
side, one position at a time, and a range coder takes the position's symbols of all rows at once.

R rows side by side, V ids, S symbols a row.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Any

import constriction
import numpy as np
import torch
from numpy.typing import NDArray

from bytegap.console import track
from bytegap.errors import CodecError
from bytegap.sight import Memory
from bytegap.trained import Trained

_SIDE_BY_SIDE = 1024  # rows, at most; more are hardly faster
_KEPT = 2**28  # numbers in the keys and values of those, at most: 1 GiB
_STREAM: Any = vars(constriction)["stream"]  # of a native module, so no type checker sees it
_LEAST, _WORD_BITS = 2**24, 32  # one over the least probability that it codes with; of its state
_FAMILY = _STREAM.model.Categorical(perfect=False)

Code = NDArray[np.uint32]
Take = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.int64]]
"""Given places (R,) of the text and the probabilities (R, V) there, the symbols (R,) at those places."""


def encode(trained: Trained, symbols: NDArray[np.int64]) -> Code:
    """Range-code symbols under the model."""
    encoder = _STREAM.queue.RangeEncoder()
    rows = _cut(trained, len(symbols))

    def take(where: NDArray[np.int64], shares_RV: NDArray[np.float32]) -> NDArray[np.int64]:
        own = symbols[where]
        encoder.encode(own.astype(np.int32), _FAMILY, shares_RV)
        return own

    _walk(trained, rows, take, "compressing")
    return encoder.get_compressed()


def decode(trained: Trained, code: Code, count: int) -> NDArray[np.int64]:
    """The `count` symbols that were encoded; CodecError where the code cannot be theirs."""
    decoder = _STREAM.queue.RangeDecoder(code)
    symbols = np.zeros(count, np.int64)

    def take(where: NDArray[np.int64], shares_RV: NDArray[np.float32]) -> NDArray[np.int64]:
        try:
            symbols[where] = decoder.decode(_FAMILY, shares_RV)
        except (ValueError, AssertionError) as error:
            raise CodecError(str(error)) from None
        return symbols[where]

    _walk(trained, _cut(trained, count), take, "decompressing")
    return symbols


def most_symbols(trained: Trained, code_bytes: int) -> int:
    """As a code can hold at most: none is likelier than all others at the coder's least probability leave it."""
    least_bits = -math.log2(1 - (trained.vocabulary.ids - 1) / _LEAST)
    return int((8 * code_bytes + _WORD_BITS) / least_bits)


def answers(trained: Trained) -> bytes:
    """4 bytes of what the model says of a few fixed rows: another machine's arithmetic, or another model, says else."""
    checksum = hashlib.sha256()
    draw = np.random.default_rng(0)

    def take(where: NDArray[np.int64], shares_RV: NDArray[np.float32]) -> NDArray[np.int64]:
        checksum.update(shares_RV.tobytes())
        return draw.integers(0, trained.vocabulary.symbols, len(where))

    _walk(trained, _cut(trained, 64 * trained.row_symbols), take, "")
    return checksum.digest()[:4]


def _cut(trained: Trained, count: int) -> list[tuple[int, int]]:
    """(first symbol, symbols) of each row."""
    S = trained.row_symbols
    return [(start, min(S, count - start)) for start in range(0, count, S)]


@torch.no_grad()
def _walk(trained: Trained, rows: list[tuple[int, int]], take: Take, about: str) -> None:
    """Read the rows from left to right, many side by side, `take` saying what stands at each place."""
    network, S = trained.network, trained.row_symbols
    a_row = 2 * S * len(network.layers) * network.embed_tokens.embedding_dim
    at_once = max(1, min(_SIDE_BY_SIDE, _KEPT // a_row))
    for first in track(range(0, len(rows), at_once), about):
        start_R, length_R = np.array(rows[first : first + at_once]).T
        R = len(start_R)
        memory, ids_R = Memory(S + 1), torch.full((R,), trained.vocabulary.bos)
        for place in range(int(length_R[0])):
            logits_RV = trained(ids_R[:, None], torch.arange(R), memory.sight(1, causal=True))
            memory.keep(1)
            there_R = length_R > place  # only the text's last row is shorter
            ids_R[torch.from_numpy(there_R)] = torch.from_numpy(
                take(start_R[there_R] + place, logits_RV.softmax(-1).numpy()[there_R])
            )
