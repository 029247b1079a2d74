"""Which positions of a sequence attend to which, and at which rotary positions.

An objective says this for every batch; a model carries it out.
B sequences, P positions, N cached positions.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bytegap.nn.kv_cache import KVCache


@dataclass(frozen=True)
class AttentionSpec:
    """The attention pattern and the positions of a batch; None is the plain case."""

    causal: bool
    """Each position attends to itself and to those before it; otherwise to all, unless `mask` says which."""
    mask: Tensor | None = None
    """(P, N + P), or (B, P, N + P) where it differs between sequences: True where the row may attend to the column; or
    floats, 0 there and -inf elsewhere, to add to scores."""
    position_ids: Tensor | None = None
    """(P,) or (B, P): the rotary position of each input, BOS being 0; None: 0, 1, 2 ..."""
    query_position_ids: Tensor | None = None
    """(P,) or (B, P): the rotary position of each query, where it is not that of its key: that of the token which it
    predicts."""
    shifted: Tensor | None = None
    """(B, P), bool: inputs that are the token before the one whose place they take; a model flags them."""
    cache: KVCache | None = None
    """Keys and values of earlier positions, which these positions attend to as well."""

    def with_additive_mask(self, dtype: torch.dtype) -> "AttentionSpec":
        """The same spec with its mask as floats, so that layers need not each make them."""
        if self.mask is None or self.mask.is_floating_point():
            return self
        return replace(self, mask=additive(self.mask, dtype))

    def rows(self, start: int, stop: int) -> "AttentionSpec":
        """The spec of the sequences from `start` to `stop`."""
        return replace(
            self,
            mask=_rows(self.mask, 3, start, stop),
            position_ids=_rows(self.position_ids, 2, start, stop),
            query_position_ids=_rows(self.query_position_ids, 2, start, stop),
            shifted=_rows(self.shifted, 2, start, stop),
        )

    def to(self, device: str) -> "AttentionSpec":
        """The same spec on another device."""
        moved = {name: to_device(part, device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, **moved)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask as floats to add to scores: 0 where it is True, -inf elsewhere."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, -torch.inf)


def _rows(tensor: Tensor | None, ndim: int, start: int, stop: int) -> Tensor | None:
    """Some sequences of a tensor that has one row a sequence if it has `ndim` dimensions."""
    return tensor[start:stop] if tensor is not None and tensor.ndim == ndim else tensor


def to_device(tensor: Tensor, device: str) -> Tensor:
    """The tensor on a device; copies from the host go through pinned memory, so that the host does not wait."""
    if device == "cpu" or not tensor.is_cpu:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def cached_spec(
    cache: KVCache,
    P: int,
    *,
    causal: bool,
    position_ids: Tensor | None = None,
    query_position_ids: Tensor | None = None,
) -> AttentionSpec:
    """The spec of the next P positions after those in the cache.

    They attend to all cached positions and to each other; if `causal`, only to those before them.
    """
    if position_ids is None:
        position_ids = torch.arange(cache.length, cache.length + P)
    mask = torch.ones(P, cache.length + P, dtype=torch.bool).tril(cache.length) if causal and P > 1 else None
    return AttentionSpec(
        causal=False, mask=mask, position_ids=position_ids, query_position_ids=query_position_ids, cache=cache
    )


CAUSAL = AttentionSpec(causal=True)
BIDIRECTIONAL = AttentionSpec(causal=False)
