"""Autoregression: each symbol given BOS and all symbols before it. Its likelihood is exact."""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives._base import Answer, Question, Vocabulary, answer, asked_only, with_bos
from bytegap.sight import CAUSAL

EXACT = True
"""One pass gives the likelihood; more would repeat it."""
DRAWN = "left"
"""How text is drawn from its models: a file of `samplers`."""
SIGHT = CAUSAL
"""What a position of a plain row sees: a model that can be asked about any such row says so here."""


class Options(plugins.Options):
    """What training may hide of the history; scoring never hides any."""

    dropped: float = Field(default=0.0, ge=0, lt=1)
    """Share of the symbols seen that are replaced by MASK, drawn anew for each row."""


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model."""
    del options
    return rows.autoregressive(symbols)


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """Every symbol, given those before it, some of them dropped if the options say so."""
    if not options.dropped:
        return score(symbols_BS, u_B, generator, vocabulary, options)
    hidden_BS = torch.rand(symbols_BS.shape, generator=generator) < options.dropped
    question = score(symbols_BS, u_B, generator, vocabulary, options)
    seen_BS = symbols_BS.masked_fill(hidden_BS, vocabulary.mask)
    return replace(question, inputs_BP=with_bos(seen_BS[:, :-1], vocabulary.bos))


def score(  # noqa: PLR0913, PLR0917 - as every objective's
    symbols_BS: Tensor,
    u_B: Tensor,
    generator: torch.Generator,
    vocabulary: Vocabulary,
    options: Options,
    only_BS: Tensor | None = None,
) -> Question:
    """Every symbol, or those of `only_BS`, given all before it; neither `u_B` nor the generator has a part in it."""
    del u_B, generator, options
    B, S = symbols_BS.shape
    everything_M = torch.arange(B * S, device=symbols_BS.device)
    question = Question(
        inputs_BP=with_bos(symbols_BS[:, :-1], vocabulary.bos),
        positions_M=everything_M,
        targets_M=symbols_BS.flatten(),
        weights_M=torch.ones(B * S, device=symbols_BS.device),
        rows_M=everything_M // S,
        places_M=everything_M % S,
        sight=CAUSAL,
    )
    return asked_only(question, only_BS)


loss = answer
__all__ = ["DRAWN", "EXACT", "SIGHT", "Answer", "Options", "ask", "loss", "row", "score"]
