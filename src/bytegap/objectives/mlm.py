"""Masking at a fixed rate, as BERT does (Devlin et al. 2019): a reference, and no bound. Scored by that of `mdm`."""

import torch
from pydantic import Field
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives import mdm
from bytegap.objectives._base import Answer, Question, Vocabulary, answer

EXACT = False
DRAWN = "masked"
SIGHT = mdm.SIGHT


class Options(plugins.Options):
    """How much is hidden; always by MASK, never by a random symbol or by itself."""

    rate: float = Field(default=0.15, gt=0, le=1)


def _hidden(symbols: int, options: Options) -> int:
    return max(1, round(options.rate * symbols))


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model."""
    return rows.masked(symbols, _hidden(symbols, options))


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """The same number of positions hidden in every row, each answer weighted as if all of the row had been asked."""
    del u_B
    B, S = symbols_BS.shape
    k = _hidden(S, options)
    rank_BS = torch.rand((B, S), generator=generator).argsort(1).argsort(1)
    return mdm.masked(symbols_BS, rank_BS < k, torch.full((B,), S / k), vocabulary)


score = mdm.score
"""Its bound: what a run is reported by."""
loss = answer
__all__ = ["DRAWN", "EXACT", "SIGHT", "Answer", "Options", "ask", "loss", "row", "score"]
