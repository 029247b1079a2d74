"""What a run did, step by step: stored in its checkpoint, summarized in its record."""

import contextlib
import json
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from bytegap.schema.runs import Spread
from bytegap.train.parallel import full_tensor

_CURVE_POINTS = 64
_DIVERGED_STRETCHES = 3


@dataclass
class TrainMetrics:
    """Loss, gradient norm and supervised positions of every step so far."""

    losses: list[float] = field(default_factory=list[float])
    """Nats per token of each step."""
    grad_norms: list[float] = field(default_factory=list[float])
    """Of each step, before clipping."""
    supervised: int = 0
    """Supervised positions of all steps."""
    clipped: int = 0
    """Steps whose gradient was clipped."""
    update_rms: dict[str, float] = field(default_factory=dict[str, float])
    """Of the middle step, by parameter group: RMS of the update over RMS of the weights."""
    compile_error: str = ""
    """Step and reason of a failure of compiled code, since which the run is eager; empty if there was none."""

    def add(self, loss_nats: float, grad_norm: float, supervised: int, clip_norm: float) -> None:
        """Record one step."""
        self.losses.append(loss_nats)
        self.grad_norms.append(grad_norm)
        self.supervised += supervised
        self.clipped += grad_norm > clip_norm

    @contextlib.contextmanager
    def record_update_rms(self, network: nn.Module, *, enabled: bool) -> Generator[None]:
        """Within, one optimizer step: record each parameter group's update RMS over its weight RMS, if `enabled`."""
        before = {name: weight.detach().clone() for name, weight in network.named_parameters()} if enabled else {}
        yield
        if not enabled:
            return
        squares: dict[str, list[float]] = {}
        for name, weight in network.named_parameters():
            change = full_tensor((weight.detach() - before[name]).square().sum()).item()
            sums = squares.setdefault(_group(name, weight), [0.0, 0.0])
            sums[0] += change
            sums[1] += full_tensor(before[name].square().sum()).item()
        self.update_rms = {
            group: (change / max(size, torch.finfo(torch.float32).tiny)) ** 0.5
            for group, (change, size) in squares.items()
        }

    def has_diverged(self, stretch: int) -> bool:
        """Whether each of the last three stretches of steps has a mean loss above that of the first stretch."""
        if len(self.losses) <= _DIVERGED_STRETCHES * stretch:
            return False
        start = np.mean(self.losses[:stretch])
        last = np.array(self.losses[-_DIVERGED_STRETCHES * stretch :]).reshape(_DIVERGED_STRETCHES, stretch)
        return bool((last.mean(axis=1) > start).all())

    def grad_norm_spread(self) -> Spread | None:
        """Mean and quantiles of the gradient norms; None before the first step."""
        if not self.grad_norms:
            return None
        norms = np.array(self.grad_norms)
        return Spread(
            mean=float(norms.mean()),
            median=float(np.median(norms)),
            p95=float(np.quantile(norms, 0.95)),
            largest=float(norms.max()),
        )

    def loss_curve(self) -> list[tuple[int, float]]:
        """(last step, mean loss) over equal stretches of the run."""
        stretches = np.array_split(np.array(self.losses), min(_CURVE_POINTS, len(self.losses)) or 1)
        ends = np.cumsum([len(stretch) for stretch in stretches])
        return [(int(end), float(s.mean())) for end, s in zip(ends, stretches, strict=True) if len(s)]

    def to_json(self) -> str:
        """All fields, for the checkpoint."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "TrainMetrics":
        """The metrics that `to_json` wrote."""
        return cls(**json.loads(text))


def _group(name: str, weight: torch.Tensor) -> str:
    """Parameter group of a weight; `embedding` is the tables of tokens and of target positions."""
    if "embed" in name.partition(".")[0]:
        return "embedding"
    if name.startswith("lm_head"):
        return "head"
    return "body" if weight.ndim > 1 else "gains"
