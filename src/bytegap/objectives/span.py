"""Masked diffusion that hides spans: what is left of a row keeps its neighbours.

A row is cut into M spans of equal length, the first shorter at random, without a look at its symbols; j spans are
hidden. The bound is the sum over j of the mean, over sets of j spans, of the mean cross-entropy summed over a hidden
span: the chain rule over spans in random order. Symbols of one span are guessed independently, so that it is valid, and
not tight. Runs are scored by the bound of `mdm`, which is; `bound` is the other.
"""

import torch
from pydantic import Field
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.errors import StudyError
from bytegap.objectives import mdm
from bytegap.objectives._base import Answer, Question, Vocabulary, answer

EXACT = False
DRAWN = "masked"
SIGHT = mdm.SIGHT


class Options(plugins.Options):
    """How long a span is."""

    length: int = Field(default=4, ge=1)
    """Symbols."""


def check(symbols: int, options: Options) -> None:
    """StudyError where a span is longer than a row."""
    if options.length > symbols:
        message = f"spans of {options.length} are longer than a row of {symbols} symbols: shorten them"
        raise StudyError(message)


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model."""
    return rows.spans(symbols, options.length)


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """Hide j of each row's spans, j drawn as `mdm` draws k."""
    B, S = symbols_BS.shape
    first_B = torch.randint(1, options.length + 1, (B,), generator=generator)
    span_BS = (torch.arange(S) - first_B[:, None]).div(options.length, rounding_mode="floor") + 1
    spans_B = span_BS[:, -1] + 1
    j_B, weight_B = mdm.counts(u_B, spans_B.to(u_B.dtype))
    draw_BM = torch.rand((B, int(spans_B.max())), generator=generator)
    draw_BM[torch.arange(draw_BM.shape[1]) >= spans_B[:, None]] = 2.0  # a row's missing spans come last
    rank_BM = draw_BM.argsort(1).argsort(1)
    return mdm.masked(symbols_BS, rank_BM.gather(1, span_BS) < j_B[:, None], weight_B, vocabulary)


bound = ask


score = mdm.score
"""Its bound: what a run is reported by."""
loss = answer
__all__ = ["DRAWN", "EXACT", "SIGHT", "Answer", "Options", "ask", "bound", "check", "loss", "row", "score"]
