"""Training sequences: a fixed number of tokens each, cut from the stream of documents.

An arm's sequence length is such that sequences hold `context_bytes` of text on average.
B sequences, S tokens a sequence, R sequences in the stream.
"""

from itertools import count

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import PlanError, StudyError

BYTES_TOLERANCE = 0.01
"""Largest relative difference between the mean bytes of a sequence and `context_bytes`."""

Tokens = NDArray[np.int64]
Keys = NDArray[np.int64]
"""Identifies each sequence: its number in the training stream, or among the scoring windows."""


def seq_len_for(context_bytes: int, bytes_per_token: float, name: str) -> int:
    """S, the tokens that hold `context_bytes` of text on average; PlanError if no integer is within the tolerance."""

    def seq_len(context: int) -> int:
        return max(1, round(context / bytes_per_token))

    def is_close(context: int) -> bool:
        return abs(seq_len(context) * bytes_per_token / context - 1) <= BYTES_TOLERANCE

    if not is_close(context_bytes):
        suggestion = next(context for context in count(context_bytes) if is_close(context))
        raise PlanError(
            f"[context] bytes = {context_bytes}: {seq_len(context_bytes)} tokens of '{name}' average "
            f"{seq_len(context_bytes) * bytes_per_token:.1f} bytes, more than 1 % from {context_bytes}; "
            f"try bytes = {suggestion}"
        )
    return seq_len(context_bytes)


def check_not_longer(units: str, size: int, seq_len: int) -> None:
    """StudyError where `units` of that size are longer than a sequence of `seq_len` tokens."""
    if size > seq_len:
        raise StudyError(f"{units} of {size} tokens are longer than a sequence of {seq_len} tokens; shorten them")


def check_divides(units: str, size: int, seq_len: int) -> None:
    """StudyError unless `units` of that size divide a sequence of `seq_len` tokens."""
    if seq_len % size:
        divisors = [size for size in range(1, seq_len + 1) if seq_len % size == 0]
        near = [max(d for d in divisors if d < size), *[d for d in divisors if d > size][:1]]
        raise StudyError(
            f"{units} of {size} do not divide a sequence of {seq_len} tokens; try {' or '.join(map(str, near))}"
        )


class TrainSequences:
    """Sequences of one training stream; batch s is a pure function of (seed, s).

    The stream is cut into disjoint sequences; each epoch visits all of them once, in an order drawn from (seed, epoch).
    """

    def __init__(self, stream: NDArray[np.generic], seq_len: int, seed: int) -> None:
        """PlanError where the stream is shorter than one sequence."""
        self.seq_len, self.seed = seq_len, seed
        self.n_sequences = len(stream) // seq_len
        if not self.n_sequences:
            raise PlanError(
                f"[context] bytes: a sequence is {seq_len} tokens and the training text has only {len(stream)}: "
                "shorten the context or add text"
            )
        self._tokens_RS = stream[: self.n_sequences * seq_len].reshape(self.n_sequences, seq_len)
        self._epoch, self._order_R = -1, np.empty(0, np.int64)

    def batch(self, step: int, batch_size: int) -> tuple[Tokens, Keys]:
        """Batch `step`: its tokens (B, S), and the number of each sequence in the stream (B,)."""
        first = step * batch_size
        picked_B = np.array([self._sequence(index) for index in range(first, first + batch_size)])
        return self._tokens_RS[picked_B].astype(np.int64), picked_B

    def _sequence(self, index: int) -> int:
        epoch, rank = divmod(index, self.n_sequences)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order_R = np.random.default_rng((self.seed, epoch)).permutation(self.n_sequences)
        return int(self._order_R[rank])
