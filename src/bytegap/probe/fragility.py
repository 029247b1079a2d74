"""What one visible neighbour is worth: the loss on a hidden byte against how many bytes close by are to be seen.

The share of the window that is hidden is the same whatever is visible nearby: what is taken from the neighbourhood is
given elsewhere. AR is asked with as many bytes hidden in its history as neighbours are in question, close by or far
away, which it was never trained on: out of distribution, unless it was trained with positions dropped. B windows, S
bytes.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from bytegap.likelihood import stream
from bytegap.probe.models import Asked, surprisal_nats
from bytegap.probe.texts import Texts
from bytegap.records import Fragility

REACHES = (1, 2, 4, 8)
RATIO = 0.5
DRAWS = 3
"""Targets a window, for each reach and number of visible neighbours."""


def of_run(asked: Asked, texts: Iterable[Texts]) -> list[Fragility]:
    """Loss by reach and visible neighbours, and nats a neighbour lost: the slope of a line through them."""
    generator = stream(asked.spec.seed, 2)
    losses: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for text in texts:
        B, S = text.symbols_BS.shape
        for reach in REACHES:
            close = reach if asked.causal else 2 * reach
            hidden = close + 1 if asked.causal else round(RATIO * S)
            if 4 * reach + 2 > S or hidden < close + 1:
                continue
            first, last = (2 * reach, S) if asked.causal else (reach, S - reach)
            for visible in _steps(close):
                for _ in range(DRAWS):
                    target_B = torch.randint(first, last, (B,), generator=generator)
                    hidden_BS = pattern(target_B, S, reach, visible, hidden, generator, causal=asked.causal)
                    asked_BS = torch.arange(S) == target_B[:, None]
                    ask = asked.next_ones if asked.causal else asked.hidden_ones
                    logp_BV = ask(text.symbols_BS, asked_BS, hidden_BS)
                    losses[reach, visible].append(surprisal_nats(logp_BV, text.symbols_BS[asked_BS]).double())
    reaches = dict.fromkeys(reach for reach, _ in losses)
    return [_row(asked, reach, sorted(v for r, v in losses if r == reach), losses) for reach in reaches]


def _steps(close: int) -> list[int]:
    """Numbers of visible neighbours asked about: all up to 4, then about five."""
    return sorted({round(step) for step in np.linspace(0, close, min(close, 4) + 1)})


def pattern(  # noqa: PLR0913, PLR0917 - what a pattern is made of
    target_B: Tensor, S: int, reach: int, visible: int, hidden: int, generator: torch.Generator, *, causal: bool
) -> Tensor:
    """`hidden` of S places hidden, the target among them, and `visible` of its neighbours not: (B, S).

    Causal: neighbours are those before, and nothing behind the target is hidden.
    """
    away_BS = torch.arange(S) - target_B[:, None]
    close_BS = (away_BS.abs() <= reach) & (away_BS != 0)
    if causal:
        close_BS &= away_BS < 0
    draw_BS = torch.rand(away_BS.shape, generator=generator)
    # In order: the target, then neighbours that must go, then others at random, then neighbours that must stay.
    rank_in_BS = torch.where(close_BS, draw_BS, 2.0).argsort(1).argsort(1)
    stays_BS = close_BS & (rank_in_BS < visible)
    key_BS = torch.where(away_BS == 0, -2.0, torch.where(stays_BS, 2.0, torch.where(close_BS, -1.0, draw_BS)))
    if causal:
        key_BS = key_BS.masked_fill(away_BS > 0, 3.0)
    return key_BS.argsort(1).argsort(1) < hidden


def _row(asked: Asked, reach: int, steps: list[int], losses: dict[tuple[int, int], list[Tensor]]) -> Fragility:
    own = [torch.cat(losses[reach, step]) for step in steps]
    x = np.repeat(steps, [len(part) for part in own]).astype(float)
    y = torch.cat(own).numpy()
    slope, intercept = np.polyfit(x, y, 1)
    error = float(np.std(y - intercept - slope * x, ddof=2) / np.sqrt(((x - x.mean()) ** 2).sum()))
    return Fragility(
        run=asked.spec.id,
        arm=asked.spec.arm,
        budget_flops=asked.spec.budget_flops,
        non_embedding_parameters=asked.spec.non_embedding_parameters,
        out_of_distribution=asked.causal and not asked.spec.objective_options.get("dropped"),
        mask_ratio=None if asked.causal else RATIO,
        reach=reach,
        visible=steps,
        nats=[float(part.mean()) for part in own],
        nats_se=[float(part.std() / len(part) ** 0.5) for part in own],
        nats_a_neighbour=float(-slope),
        nats_a_neighbour_se=error,
    )
