"""Autoregression: each symbol given BOS and all symbols before it. Its likelihood is exact."""

import torch
from torch import Tensor

from bytegap.accounting import rows
from bytegap.objectives._base import Answer, Question, Vocabulary, answer, with_bos
from bytegap.plugins import Options
from bytegap.sight import CAUSAL

EXACT = True
"""One pass gives the likelihood; more would repeat it."""


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model."""
    del options
    return rows.autoregressive(symbols)


def ask(
    symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary, options: Options
) -> Question:
    """Every symbol, given those before it; `u_B` and the generator are other objectives' matter."""
    del u_B, generator, options
    B, S = symbols_BS.shape
    everything_M = torch.arange(B * S, device=symbols_BS.device)
    return Question(
        inputs_BP=with_bos(symbols_BS[:, :-1], vocabulary.bos),
        positions_M=everything_M,
        targets_M=symbols_BS.flatten(),
        weights_M=torch.ones(B * S, device=symbols_BS.device),
        rows_M=everything_M // S,
        sight=CAUSAL,
    )


score = ask
loss = answer
__all__ = ["EXACT", "Answer", "Options", "ask", "loss", "row", "score"]
