"""What the positions of a row may see, where they stand, and what place they are asked about: the objective's to say.

B rows, P positions.
"""

from dataclasses import dataclass, replace

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
        moved = {name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, **moved)


CAUSAL = Sight(causal=True)
ALL = Sight(causal=False)
