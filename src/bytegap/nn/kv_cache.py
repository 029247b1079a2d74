"""A KV cache: keys and values of the first positions of sequences, so that reading can continue from there.

B sequences, H heads, N cached positions, P new positions, K width of a head.
"""

from collections.abc import Hashable

from torch import Tensor


class KVCache:
    """Keys and values of every layer.

    New positions may be run several times; later positions attend to them only after `advance`.
    """

    def __init__(self, max_positions: int) -> None:
        """An empty cache with room for so many positions."""
        self.max_positions, self.length = max_positions, 0
        self._layers: dict[Hashable, tuple[Tensor, Tensor]] = {}

    def advance(self, P: int) -> None:
        """Keep the first P of the positions that were run last."""
        self.length += P

    def append(self, layer: Hashable, k_BHPK: Tensor, v_BHPK: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, cached ones first, (B, H, N + P, K)."""
        if layer not in self._layers:
            B, H, _, K = k_BHPK.shape
            shape = (B, H, self.max_positions, K)
            self._layers[layer] = (k_BHPK.new_empty(shape), v_BHPK.new_empty(shape))
        end = self.length + k_BHPK.shape[2]
        for cached, new in zip(self._layers[layer], (k_BHPK, v_BHPK), strict=True):
            cached[:, :, self.length : end] = new
        keys, values = self._layers[layer]
        return keys[:, :, :end], values[:, :, :end]
