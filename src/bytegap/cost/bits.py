"""Bits from nats: the only place with ln 2."""

import math


def bits(nats: float) -> float:
    """Nats to bits."""
    return nats / math.log(2)


def bits_per_byte(nats: float, n_bytes: int) -> float:
    """Bits per byte of original text (BPB): total nats / (ln 2 x raw bytes)."""
    assert n_bytes > 0, "bits per byte of an empty text are undefined"
    return bits(nats) / n_bytes
