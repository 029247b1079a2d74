"""Masked diffusion with an absorbing state: any subset of a row, given the rest.

The bound is NELBO = sum over k of c_k, with c_k the mean cross-entropy a masked position when exactly k uniformly
chosen positions of S are masked: the exact-count form of the continuous-time bound (Sahoo et al. 2024, eq. 10; Shi et
al. 2024, eq. 4), free of any noise schedule. With k drawn with probability q_k, the summed cross-entropy over k q_k is
an unbiased estimate of it, at any row length.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives._base import Answer, Question, Vocabulary, answer, with_bos
from bytegap.sight import ALL

EXACT = False
DRAWN = "masked"
SIGHT = ALL
"""What a position of a plain row sees: a model that can be asked about any such row says so here."""


class Options(plugins.Options):
    """How many positions a training row has masked; evaluation always draws them as "importance" does."""

    schedule: Literal["importance", "count", "linear", "cosine"] = "importance"


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model, its answers E k over the counts, or S x the schedule's mean probability."""
    answered = {
        "importance": rows.answered_of(symbols),
        "count": (symbols + 1) / 2,
        "linear": symbols / 2,
        "cosine": symbols * (1 - 2 / math.pi),
    }[options.schedule]
    return rows.masked(symbols, answered)


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """A training batch under the chosen schedule, `u_B` in (0, 1] being each row's time.

    importance: as `score`. count: k = ceil(u S), weight S / k. linear: masked with probability t, weight 1/t. cosine:
    masked with probability m = 1 - cos(pi t / 2), weight m'(t) / m = (pi / 2) sin(pi t / 2) / m (Shi et al. 2024,
    table 1, time running from clean to masked).
    """
    if options.schedule == "importance":
        return score(symbols_BS, u_B, generator, vocabulary, options)
    S = symbols_BS.shape[1]
    if options.schedule == "count":
        k_B = (u_B * S).ceil().clamp(1, S)
        return _exactly(symbols_BS, k_B, S / k_B, generator, vocabulary)
    if options.schedule == "linear":
        masked_B, weight_B = u_B, 1 / u_B
    else:
        angle_B = u_B * (math.pi / 2)
        masked_B = 1 - angle_B.cos()
        weight_B = (math.pi / 2) * angle_B.sin() / masked_B
    draw_BS = torch.rand(symbols_BS.shape, generator=generator)
    return masked(symbols_BS, draw_BS < masked_B[:, None], weight_B, vocabulary)


def score(  # noqa: PLR0913, PLR0917 - as every objective's
    symbols_BS: Tensor,
    u_B: Tensor,
    generator: torch.Generator,
    vocabulary: Vocabulary,
    options: Any,
    only_BS: Tensor | None = None,
) -> Question:
    """Exactly k = ceil(u^2 S) masked positions a row, weight 1 / (k q_k) with q_k = sqrt(k / S) - sqrt((k - 1) / S).

    What is left of the variance once u is on a lattice goes as 1 / k, so that few masked positions should be drawn more
    often, as k^-1/2 (importance sampling; docs/method.md has the figures).

    Of `only_BS` where it is given: S is then how many those are, the others are never hidden, and the bound is on these
    symbols given the others.
    """
    del options
    units = symbols_BS.shape[1] if only_BS is None else only_BS.sum(1).to(u_B.dtype)
    k_B, weight_B = counts(u_B, units)
    return _exactly(symbols_BS, k_B, weight_B, generator, vocabulary, only_BS)


def counts(u: Tensor, units: int | Tensor) -> tuple[Tensor, Tensor]:
    """How many of so many units to hide, k = ceil(u^2 S), and the weight 1 / (k q_k) of each; shaped as `u`.

    None of none, and then the weight, which nothing has, is nan.
    """
    k = (u.square() * units).ceil().clamp(min=1).minimum(torch.as_tensor(units, dtype=u.dtype))
    share = (k / units).sqrt() - ((k - 1) / units).sqrt()
    return k, 1 / (k * share)


def _exactly(  # noqa: PLR0913, PLR0917 - what a mask is made of
    symbols_BS: Tensor,
    k_B: Tensor,
    weight_B: Tensor,
    generator: torch.Generator,
    vocabulary: Vocabulary,
    only_BS: Tensor | None = None,
) -> Question:
    """Mask k positions of each row, every set of k equally likely."""
    draw_BS = torch.rand(symbols_BS.shape, generator=generator)
    if only_BS is not None:
        draw_BS[~only_BS] = 2.0  # come last
    rank_BS = draw_BS.argsort(1).argsort(1)
    return masked(symbols_BS, rank_BS < k_B[:, None], weight_B, vocabulary)


def masked(symbols_BS: Tensor, hidden_BS: Tensor, weight_B: Tensor, vocabulary: Vocabulary) -> Question:
    """Those positions hidden, each answer of the row's weight, or of its own where `weight_B` is (B, S)."""
    S = symbols_BS.shape[1]
    rows_M, places_M = hidden_BS.nonzero(as_tuple=True)
    return Question(
        inputs_BP=with_bos(symbols_BS.masked_fill(hidden_BS, vocabulary.mask), vocabulary.bos),
        positions_M=rows_M * (S + 1) + places_M + 1,
        targets_M=symbols_BS[rows_M, places_M],
        weights_M=(weight_B[rows_M] if weight_B.ndim == 1 else weight_B[rows_M, places_M]).float(),
        rows_M=rows_M,
        places_M=places_M,
        sight=ALL,
    )


loss = answer
__all__ = ["DRAWN", "EXACT", "SIGHT", "Answer", "Options", "ask", "loss", "row", "score"]
