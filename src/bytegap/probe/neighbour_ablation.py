"""What one visible neighbour is worth: the loss on a hidden byte against the number of visible bytes close to it.

The share of hidden bytes in a window is constant: a neighbour that is hidden makes a byte farther away visible.
For AR, as many bytes of the history are hidden as there are neighbours, close by or far away. It was never trained on
such inputs (out of distribution), unless it was trained with dropped inputs; nor were models of patches, spans or
streams of several bytes.
B windows, S bytes.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.probe.metrics import mean_and_se
from bytegap.probe.predict import is_causal, run_fields, surprisal_nats, target_logp
from bytegap.probe.windows import ProbeWindows
from bytegap.schema.plan import RunSpec
from bytegap.schema.probe import NeighbourAblation

RADII = (1, 2, 4, 8)
MASK_RATIO = 0.5
TARGETS = 3
"""Of each window, for each radius and number of visible neighbours."""


@dataclass(frozen=True)
class Pattern:
    """Which bytes of a window of S bytes are hidden."""

    seq_len: int
    """S."""
    radius: int
    """Neighbours are at most this many bytes from the target."""
    visible: int
    """Visible neighbours."""
    hidden: int
    """Hidden bytes of the window, the target among them."""
    causal: bool
    """Neighbours are those before the target, and no byte after it is hidden; otherwise both sides."""

    def draw(self, target_B: Tensor, rng: torch.Generator) -> Tensor:
        """Hidden bytes, (B, S), for targets at these indices."""
        offset_BS = torch.arange(self.seq_len) - target_B[:, None]
        close_BS = (offset_BS.abs() <= self.radius) & (offset_BS != 0)
        if self.causal:
            close_BS &= offset_BS < 0
        draw_BS = torch.rand(offset_BS.shape, generator=rng)
        # Hidden in this sequence: the target, neighbours to hide, other bytes at random, neighbours to keep visible.
        rank_BS = torch.where(close_BS, draw_BS, 2.0).argsort(1).argsort(1)
        kept_BS = close_BS & (rank_BS < self.visible)
        key_BS = torch.where(offset_BS == 0, -2.0, torch.where(kept_BS, 2.0, torch.where(close_BS, -1.0, draw_BS)))
        if self.causal:
            key_BS = key_BS.masked_fill(offset_BS > 0, 3.0)
        return key_BS.argsort(1).argsort(1) < self.hidden


def neighbour_ablation(model: LanguageModel, spec: RunSpec, windows: Iterable[ProbeWindows]) -> list[NeighbourAblation]:
    """A row for each radius: the loss by number of visible neighbours, and nats lost with each neighbour hidden."""
    rng, causal = rng_for(spec.seed, 2), is_causal(model)
    losses: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for each in windows:
        tokens_BS = each.tokens_BS
        B, S = tokens_BS.shape
        for radius in RADII:
            close = radius if causal else 2 * radius
            hidden = close + 1 if causal else round(MASK_RATIO * S)
            if 4 * radius + 2 > S or hidden < close + 1:
                continue
            first, last = (2 * radius, S) if causal else (radius, S - radius)
            for visible in _numbers_visible(close):
                pattern = Pattern(S, radius, visible, hidden, causal)
                for _ in range(TARGETS):
                    target_B = torch.randint(first, last, (B,), generator=rng)
                    hidden_BS = pattern.draw(target_B, rng)
                    target_BS = torch.arange(S) == target_B[:, None]
                    logp_BV = target_logp(model, tokens_BS, target_BS, hidden_BS)
                    losses[radius, visible].append(surprisal_nats(logp_BV, tokens_BS[target_BS]).double())
    by_radius: dict[int, dict[int, Tensor]] = defaultdict(dict)
    for (radius, visible), parts in losses.items():
        by_radius[radius][visible] = torch.cat(parts)
    return [_row(model, spec, radius, dict(sorted(own.items()))) for radius, own in by_radius.items()]


def _numbers_visible(close: int) -> list[int]:
    """Numbers of visible neighbours to measure at: all up to 4, else five."""
    return sorted({round(number) for number in np.linspace(0, close, min(close, 4) + 1)})


def _row(model: LanguageModel, spec: RunSpec, radius: int, nats: dict[int, Tensor]) -> NeighbourAblation:
    """A regression line through the losses by number of visible neighbours."""
    x = np.repeat(list(nats), [len(own) for own in nats.values()]).astype(float)
    y = torch.cat(list(nats.values())).numpy()
    slope, intercept = np.polyfit(x, y, 1)
    error = float(np.std(y - intercept - slope * x, ddof=2) / np.sqrt(((x - x.mean()) ** 2).sum()))
    statistics = [mean_and_se(own) for own in nats.values()]
    return NeighbourAblation(
        **run_fields(spec),
        out_of_distribution=not model.objective.hides_any_set,
        mask_ratio=None if is_causal(model) else MASK_RATIO,
        radius=radius,
        visible=tuple(nats),
        nats=tuple(mean for mean, _ in statistics),
        nats_se=tuple(se for _, se in statistics),
        nats_per_neighbour=float(-slope),
        nats_per_neighbour_se=error,
    )
