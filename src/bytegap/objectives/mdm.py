"""Masked diffusion with an absorbing state: any subset of a row, given the rest.

The bound is NELBO = sum over k of c_k, with c_k the mean cross-entropy a masked position when exactly k uniformly
chosen positions of S are masked: the exact-count form of the continuous-time bound (Sahoo et al. 2024, eq. 10; Shi et
al. 2024, eq. 4), free of any noise schedule. With u uniform on (0, 1] and k = ceil(u S), (S / k) x the summed
cross-entropy is an unbiased estimate of it, at any row length.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives._base import Answer, Question, Vocabulary, answer, with_bos

CAUSAL = False
EXACT = False


class Options(plugins.Options):
    """How many positions a training row has masked; evaluation always uses exact counts."""

    schedule: Literal["count", "linear", "cosine"] = "count"


def positions(row_symbols: int) -> int:
    """Positions a row sends through the body: BOS and all symbols."""
    return rows.masked(row_symbols).positions


def supervised(row_symbols: int, options: Options) -> float:
    """Mean masked positions a row: E k over the counts, or S x the schedule's mean mask probability."""
    return {
        "count": rows.masked(row_symbols).supervised,
        "linear": row_symbols / 2,
        "cosine": row_symbols * (1 - 2 / math.pi),
    }[options.schedule]


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """A training batch under the chosen schedule, `u_B` in (0, 1] being each row's time.

    linear: masked with probability t, weight 1/t. cosine: masked with probability m = 1 - cos(pi t / 2), weight
    m'(t) / m = (pi / 2) sin(pi t / 2) / m (Shi et al. 2024, table 1, time running from clean to masked).
    """
    if options.schedule == "count":
        return score(symbols_BS, u_B, generator, vocabulary, options)
    if options.schedule == "linear":
        masked_B, weight_B = u_B, 1 / u_B
    else:
        angle_B = u_B * (math.pi / 2)
        masked_B = 1 - angle_B.cos()
        weight_B = (math.pi / 2) * angle_B.sin() / masked_B
    draw_BS = torch.rand(symbols_BS.shape, generator=generator)
    return masked(symbols_BS, draw_BS < masked_B[:, None], weight_B, vocabulary)


def score(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """Exactly k = ceil(u S) masked positions a row, uniformly chosen, weight S / k."""
    del options
    S = symbols_BS.shape[1]
    k_B = (u_B * S).ceil().clamp(1, S)
    rank_BS = torch.rand(symbols_BS.shape, generator=generator).argsort(1).argsort(1)
    return masked(symbols_BS, rank_BS < k_B[:, None], S / k_B, vocabulary)


def masked(symbols_BS: Tensor, hidden_BS: Tensor, weight_B: Tensor, vocabulary: Vocabulary) -> Question:
    S = symbols_BS.shape[1]
    rows_M, places_M = hidden_BS.nonzero(as_tuple=True)
    return Question(
        inputs_BP=with_bos(symbols_BS.masked_fill(hidden_BS, vocabulary.mask), vocabulary.bos),
        positions_M=rows_M * (S + 1) + places_M + 1,
        targets_M=symbols_BS[rows_M, places_M],
        weights_M=weight_B[rows_M].float(),
        rows_M=rows_M,
    )


loss = answer
__all__ = ["CAUSAL", "EXACT", "Answer", "Options", "ask", "loss", "positions", "score", "supervised"]
