"""What a width brings with it on the ladder of sizes; no torch, so that shapes can be counted without it."""


def heads(width: int, depth: int) -> int:
    """Heads of 32 below about 1M parameters, of 64 above, of 128 from width 256 on, as near as the width divides.

    Below width 128 four heads, or as many as are 8 wide: with one, bytes and masked models hardly learn to see both
    neighbours of a symbol (docs/log.md).
    """
    head = 128 if width >= 256 else min(32, max(8, width // 4)) if 12 * width**2 * depth < 1_000_000 else 64
    return max(1, width // head)


def hidden(width: int) -> int:
    """Width of the gated MLP: 8/3 of the model's, rounded up to 16, as in Llama."""
    return -(-8 * width // 48) * 16
