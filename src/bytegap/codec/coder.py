"""Range coding of tokens with the probabilities of an autoregressive model.

Encoding and decoding both call `_read`, with the same sequences at the same time, so that both see the same
probabilities to the bit.
The text's tokens are cut into sequences as `evaluate` cuts them; many sequences are read at once, one position after
another, and a range coder takes the tokens of all sequences at that position.

R sequences read at once, V ids, S tokens a sequence.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import constriction
import numpy as np
import torch
from numpy.typing import NDArray

from bytegap.console import track
from bytegap.data.windows import chunk_lengths
from bytegap.errors import CodecError
from bytegap.lm.language_model import LanguageModel
from bytegap.models.base import Network
from bytegap.nn.attention_spec import cached_spec
from bytegap.nn.kv_cache import KVCache

_MAX_SEQUENCES = 1024  # more at once are hardly faster
_MAX_CACHED = 2**28  # numbers in the KV cache of those: 1 GiB
_PROBABILITY_LEVELS = 2**24  # the coder's smallest probability is one over this
_STATE_BITS = 32  # of the coder
_FINGERPRINT_SEQUENCES = 64
_FINGERPRINT_BYTES = 4

Code = NDArray[np.uint32]
TokensAt = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.int64]]
"""(token indices in the text (R,), probabilities there (R, V)) to the tokens there (R,)."""


class _Encoder(Protocol):
    def encode(self, tokens: NDArray[np.int32], family: object, probabilities_RV: NDArray[np.float32]) -> None: ...

    def get_compressed(self) -> Code: ...


class _Decoder(Protocol):
    def decode(self, family: object, probabilities_RV: NDArray[np.float32]) -> NDArray[np.int32]: ...


class _Queue(Protocol):
    def RangeEncoder(self) -> _Encoder: ...

    def RangeDecoder(self, code: Code) -> _Decoder: ...


class _Models(Protocol):
    def Categorical(self, *, perfect: bool) -> object: ...


class _Stream(Protocol):
    queue: _Queue
    model: _Models


_stream = cast("_Stream", vars(constriction)["stream"])  # a native module without type information
_FAMILY = _stream.model.Categorical(perfect=False)


def encode(model: LanguageModel, tokens: NDArray[np.int64]) -> Code:
    """Range-code tokens with the model's probabilities."""
    encoder = _stream.queue.RangeEncoder()

    def tokens_at(indices_R: NDArray[np.int64], probabilities_RV: NDArray[np.float32]) -> NDArray[np.int64]:
        tokens_R = tokens[indices_R]
        encoder.encode(tokens_R.astype(np.int32), _FAMILY, probabilities_RV)
        return tokens_R

    _read(model, len(tokens), tokens_at, "compressing")
    return encoder.get_compressed()


def decode(model: LanguageModel, code: Code, count: int) -> NDArray[np.int64]:
    """The `count` tokens that were encoded; CodecError where the code cannot be theirs."""
    decoder = _stream.queue.RangeDecoder(code)
    tokens = np.zeros(count, np.int64)

    def tokens_at(indices_R: NDArray[np.int64], probabilities_RV: NDArray[np.float32]) -> NDArray[np.int64]:
        try:
            tokens[indices_R] = decoder.decode(_FAMILY, probabilities_RV)
        except (ValueError, AssertionError) as error:
            raise CodecError(str(error)) from None
        return tokens[indices_R]

    _read(model, count, tokens_at, "decompressing")
    return tokens


def max_tokens(model: LanguageModel, code_bytes: int) -> int:
    """The most tokens that a code of that length can hold.

    A token costs the least when each other id has the coder's smallest probability.
    """
    least_bits = -math.log2(1 - (model.vocabulary.n_ids - 1) / _PROBABILITY_LEVELS)
    return int((8 * code_bytes + _STATE_BITS) / least_bits)


def fingerprint(model: LanguageModel) -> bytes:
    """A hash of the model's probabilities on fixed sequences, 4 bytes.

    It differs for another model, and on a machine whose arithmetic gives other results.
    """
    checksum = hashlib.sha256()
    rng = np.random.default_rng(0)

    def tokens_at(indices_R: NDArray[np.int64], probabilities_RV: NDArray[np.float32]) -> NDArray[np.int64]:
        checksum.update(probabilities_RV.tobytes())
        return rng.integers(0, model.vocabulary.vocab_size, len(indices_R))

    _read(model, _FINGERPRINT_SEQUENCES * model.seq_len, tokens_at, "")
    return checksum.digest()[:_FINGERPRINT_BYTES]


@torch.no_grad()
def _read(model: LanguageModel, count: int, tokens_at: TokensAt, description: str) -> None:
    """Read a text of `count` tokens sequence by sequence, many at once; `tokens_at` says which tokens come."""
    S = model.seq_len
    lengths = chunk_lengths(count, S)
    at_once = _sequences_at_once(model)
    for first in track(range(0, len(lengths), at_once), description):
        _read_sequences(model, first * S, lengths[first : first + at_once], tokens_at)


def _read_sequences(model: LanguageModel, start: int, lengths: Sequence[int], tokens_at: TokensAt) -> None:
    """Read adjacent sequences, the first from token `start` on, position by position."""
    R, S = len(lengths), model.seq_len
    length_R, start_R = np.array(lengths), start + S * np.arange(R)
    cache, ids_R = KVCache(S + 1), torch.full((R,), model.vocabulary.bos)
    for index in range(lengths[0]):
        logits_RV = model(ids_R[:, None], torch.arange(R), cached_spec(cache, 1, causal=True))
        cache.advance(1)
        within_R = length_R > index  # only the text's last sequence is shorter
        probabilities_RV = logits_RV.softmax(-1).numpy()[within_R]
        ids_R[torch.from_numpy(within_R)] = torch.from_numpy(tokens_at(start_R[within_R] + index, probabilities_RV))


def _sequences_at_once(model: LanguageModel) -> int:
    """As many as memory for their KV cache allows."""
    assert isinstance(model.network, Network), "runs have networks of our own"
    per_sequence = model.seq_len * model.network.kv_numbers_per_position
    return max(1, min(_MAX_SEQUENCES, _MAX_CACHED // per_sequence))
