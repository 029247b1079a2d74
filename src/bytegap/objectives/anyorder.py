"""Autoregression in random order: each symbol given those before it in the order drawn, and told its own place.

A position stands where its symbol does (rotary), and a table tells it the place it is asked about (sigma-GPT:
Pannatier et al. 2024, arXiv 2404.09562). The likelihood of one order is exact; a run is reported by the mean over
orders, or, with `scored = "left"`, by the order of the text alone.
"""

from typing import Literal

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives._base import Answer, Question, Vocabulary, answer, asked_only, with_bos
from bytegap.sight import Sight

EXACT = False
DRAWN = "anyorder"
AIMS = True
"""The model needs a table of places to be asked about."""


class Options(plugins.Options):
    """Training always draws orders; scoring may do without."""

    scored: Literal["any", "left"] = "any"


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model."""
    del options
    return rows.autoregressive(symbols)


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """Every symbol, in an order drawn anew for each row."""
    del u_B, options
    return ordered(symbols_BS, torch.rand(symbols_BS.shape, generator=generator).argsort(1), vocabulary)


def score(  # noqa: PLR0913, PLR0917 - as every objective's
    symbols_BS: Tensor,
    u_B: Tensor,
    generator: torch.Generator,
    vocabulary: Vocabulary,
    options: Options,
    only_BS: Tensor | None = None,
) -> Question:
    """As `ask`, or from left to right. Of `only_BS` where it is given: all others come before, as the text has them."""
    del u_B
    S = symbols_BS.shape[1]
    in_text_BS = torch.arange(S).expand_as(symbols_BS) / S
    key_BS = in_text_BS if options.scored == "left" else torch.rand(symbols_BS.shape, generator=generator)
    if only_BS is not None:
        key_BS = torch.where(only_BS, key_BS + 1, in_text_BS)
    return asked_only(ordered(symbols_BS, key_BS.argsort(1), vocabulary), only_BS)


def ordered(symbols_BS: Tensor, order_BS: Tensor, vocabulary: Vocabulary) -> Question:
    """Every symbol, `order_BS` saying which is asked first, second, and so on."""
    B, S = symbols_BS.shape
    asked_BS = symbols_BS.gather(1, order_BS)
    everything_M = torch.arange(B * S)
    places_BS = order_BS + 1
    return Question(
        inputs_BP=with_bos(asked_BS[:, :-1], vocabulary.bos),
        positions_M=everything_M,
        targets_M=asked_BS.flatten(),
        weights_M=torch.ones(B * S),
        rows_M=everything_M // S,
        places_M=order_BS.flatten(),
        sight=Sight(causal=True, places_P=with_bos(places_BS[:, :-1], 0), aims_BP=places_BS),
    )


loss = answer
__all__ = ["AIMS", "DRAWN", "EXACT", "Answer", "Options", "ask", "loss", "row", "score"]
