"""What a run did, step by step: kept with the checkpoint, summed up in the record."""

import contextlib
import json
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from bytegap.records import Spread
from bytegap.train.devices import whole

_CURVE_POINTS = 64
_ABOVE_FOR = 3
"""Stretches that a loss must lie above its start for to count as gone up for good."""


class Ledger:
    """Loss, gradient norm and supervised symbols of every step so far."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.supervised = 0
        self.clipped = 0
        self.update_rms: dict[str, float] = {}
        self.compile_error = ""
        """Where and why compiled code failed, so that the run is computed eagerly; empty where it did not."""

    def add(self, loss_nats: float, norm: float, supervised: int, clip_norm: float) -> None:
        """Enter one step."""
        self.losses.append(loss_nats)
        self.norms.append(norm)
        self.supervised += supervised
        self.clipped += norm > clip_norm

    @contextlib.contextmanager
    def watching_update(self, model: nn.Module, watch: bool) -> Iterator[None]:  # noqa: FBT001 - reads as prose
        """Measure, around one optimiser step, each parameter group's update RMS over its weight RMS."""
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()} if watch else {}
        yield
        if not watch:
            return
        squares: dict[str, list[float]] = {}
        for name, weight in model.named_parameters():
            change = whole((weight.detach() - before[name]).square().sum()).item()
            entry = squares.setdefault(_group(name, weight), [0.0, 0.0])
            entry[0] += change
            entry[1] += whole(before[name].square().sum()).item()
        self.update_rms = {
            group: (change / max(size, torch.finfo(torch.float32).tiny)) ** 0.5
            for group, (change, size) in squares.items()
        }

    def is_above_its_start(self, stretch: int) -> bool:
        """Whether each of the last few stretches of steps has a mean loss above the first's."""
        if len(self.losses) <= _ABOVE_FOR * stretch:
            return False
        start = np.mean(self.losses[:stretch])
        last = np.array(self.losses[-_ABOVE_FOR * stretch :]).reshape(_ABOVE_FOR, stretch).mean(axis=1)
        return bool((last > start).all())

    def spread(self) -> Spread | None:
        """How gradient norms were spread."""
        if not self.norms:
            return None
        norms = np.array(self.norms)
        return Spread(
            mean=float(norms.mean()),
            median=float(np.median(norms)),
            p95=float(np.quantile(norms, 0.95)),
            largest=float(norms.max()),
        )

    def curve(self) -> list[tuple[int, float]]:
        """(last step, mean loss) over equal stretches of the run."""
        stretches = np.array_split(np.array(self.losses), min(_CURVE_POINTS, len(self.losses)) or 1)
        ends = np.cumsum([len(stretch) for stretch in stretches])
        return [(int(end), float(s.mean())) for end, s in zip(ends, stretches, strict=True) if len(s)]

    def to_json(self) -> str:
        """Everything, for the checkpoint."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "Ledger":
        """The ledger as it was."""
        ledger = cls()
        vars(ledger).update(json.loads(text))
        return ledger


def _group(name: str, weight: torch.Tensor) -> str:
    if name.startswith("embed"):
        return "embedding"
    if name.startswith("lm_head"):
        return "head"
    return "body" if weight.ndim > 1 else "gains"
