"""An objective: one stretch of each row is hidden, the text to both sides of it is seen. Infilling.

For training only: a stretch is no uniformly chosen set of positions, so a run is scored by the bound of `mdm`.
B rows, S symbols a row.
"""

import torch
from pydantic import Field
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives import mdm
from bytegap.objectives._base import Answer, Question, Vocabulary, answer

EXACT = False
"""A likelihood is an estimate, of several passes."""
SIGHT = mdm.SIGHT
"""Every position sees all of them."""


class Options(plugins.Options):
    """How much may be hidden."""

    share: float = Field(default=1.0, gt=0, le=1)
    """Of the row, at most."""


def _longest(symbols: int, options: Options) -> int:
    return max(1, round(options.share * symbols))


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model: FLOPs and the batch follow from it."""
    return rows.masked(symbols, rows.answered_of(_longest(symbols, options)))


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """A training batch: as many symbols hidden as `mdm` would of so long a row, side by side, anywhere."""
    B, S = symbols_BS.shape
    longest = _longest(S, options)
    k_B, weight_B = mdm.counts(u_B, longest)
    first_B = (torch.rand(B, generator=generator) * (S - k_B + 1)).floor()
    place_S = torch.arange(S)
    hidden_BS = (place_S >= first_B[:, None]) & (place_S < (first_B + k_B)[:, None])
    return mdm.masked(symbols_BS, hidden_BS, weight_B * S / longest, vocabulary)


def score(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """What a run is reported by."""
    del options
    return mdm.score(symbols_BS, u_B, generator, vocabulary, mdm.Options())


loss = answer
__all__ = ["EXACT", "SIGHT", "Answer", "Options", "ask", "loss", "row", "score"]
