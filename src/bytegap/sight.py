"""What the positions of a row may see, where they stand, and what place they are asked about: the objective's to say.

B rows, P positions, N of them read before, H heads, K width of a head.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sight:
    """Of a batch; what is None is the plain case."""

    causal: bool
    """Each position sees itself and those before it; otherwise all of them, unless `mask_PP` says which."""
    mask_PP: Tensor | None = None
    """True where the position of the row may see the position of the column."""
    places_P: Tensor | None = None
    """(P,) or (B, P): where each position stands in the row, 0 being BOS; 0, 1, 2 ... where None."""
    aims_BP: Tensor | None = None
    """The place that each position is asked about, in models that are told."""
    memory: "Memory | None" = None
    """What these positions see beside each other: positions read before."""

    def rows(self, start: int, stop: int) -> "Sight":
        """Of some of the rows."""
        places, aims = self.places_P, self.aims_BP
        return replace(
            self,
            places_P=places[start:stop] if places is not None and places.ndim > 1 else places,
            aims_BP=aims[start:stop] if aims is not None else None,
        )

    def to(self, device: str) -> "Sight":
        """The same on another device."""
        moved = {name: laid(part, device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, **moved)


def laid(tensor: Tensor, device: str) -> Tensor:
    """A tensor on a device; from the host it goes through pinned memory, so that nobody waits for the device."""
    if device == "cpu" or not tensor.is_cpu:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Memory:
    """Keys and values of the first positions of rows, so that the rows can be read on from there: a KV cache.

    Positions are read as often as one likes, and seen by later ones once they are kept.
    """

    def __init__(self, positions: int) -> None:
        """Room for rows of so many positions, nothing read yet."""
        self.positions, self.length = positions, 0
        self._layers: dict[Hashable, tuple[Tensor, Tensor]] = {}

    def sight(self, P: int, *, causal: bool, places_P: Tensor | None = None, aims_BP: Tensor | None = None) -> Sight:
        """Of the next P positions: all kept ones, and each other; if causal, none but those before them."""
        if places_P is None:
            places_P = torch.arange(self.length, self.length + P)
        mask_PN = torch.ones(P, self.length + P, dtype=torch.bool).tril(self.length) if causal and P > 1 else None
        return Sight(causal=False, mask_PP=mask_PN, places_P=places_P, aims_BP=aims_BP, memory=self)

    def keep(self, P: int) -> None:
        """Let the first P of the positions read last be seen by those that follow."""
        self.length += P

    def joined(self, layer: Hashable, k_BHPK: Tensor, v_BHPK: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer with those kept before them, (B, H, N + P, K)."""
        if layer not in self._layers:
            B, H, _, K = k_BHPK.shape
            self._layers[layer] = (k_BHPK.new_empty(B, H, self.positions, K), v_BHPK.new_empty(B, H, self.positions, K))
        end = self.length + k_BHPK.shape[2]
        for kept, new in zip(self._layers[layer], (k_BHPK, v_BHPK), strict=True):
            kept[:, :, self.length : end] = new
        keys, values = self._layers[layer]
        return keys[:, :, :end], values[:, :, :end]


CAUSAL = Sight(causal=True)
ALL = Sight(causal=False)
