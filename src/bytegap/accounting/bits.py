"""Bits from nats: the only place where ln 2 lives."""

import math


def bits(nats: float) -> float:
    """Nats to bits."""
    return nats / math.log(2)


def bits_per_byte(nats: float, n_bytes: int) -> float:
    """Bits per byte of original text (BPB): total nats over ln 2 times the raw bytes they describe."""
    assert n_bytes > 0, "bits per byte of no bytes"
    return bits(nats) / n_bytes
