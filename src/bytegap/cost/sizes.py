"""How d_model fixes the other sizes of a model; no torch, so that shapes can be counted without it."""


def n_heads(d_model: int, n_layers: int) -> int:
    """Number of heads: 32 wide below about 1M parameters, 64 above, 128 from d_model 256 on, rounded to fit d_model.

    Below d_model 128: four heads, or as many as are 8 wide.
    With one head, byte models and masked models hardly learn to attend to both neighbours of a token (docs/log.md).
    """
    head = 128 if d_model >= 256 else min(32, max(8, d_model // 4)) if 12 * d_model**2 * n_layers < 1_000_000 else 64
    return max(1, d_model // head)


def d_ff(d_model: int) -> int:
    """Width of the gated MLP: 8/3 of d_model, rounded up to a multiple of 16, as in Llama."""
    return -(-8 * d_model // 48) * 16
