"""How far back an AR model's predictions reach: the loss on a byte against how many before it the model is given.

Rows are cut, not masked: BOS and the last c bytes, each where it stood. Models of a changed order are given the text
in that order. B windows, S bytes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.likelihood import stream
from bytegap.probe.models import Asked, surprisal_nats
from bytegap.probe.texts import Texts
from bytegap.records import ContextLoss, RunSpec

TARGETS = 4
"""Bytes a window, the same for every length of context."""
SHARE = 0.01
"""The effective length is the least whose loss is within this of the longest's."""


def of_run(asked: Asked, texts: Sequence[Texts]) -> list[ContextLoss]:
    """One row; none for models that are not causal, or where windows are too short to be cut."""
    longest = asked.spec.row_symbols // 2
    long_enough = [in_order(text, asked.spec) for text in texts if text.symbols_BS.shape[1] > longest]
    if not asked.causal or not long_enough:
        return []
    lengths = sorted({*(2**power for power in range(longest.bit_length()) if 2**power < longest), longest})
    generator = stream(asked.spec.seed, 4)
    stretches, firsts = [], []
    for symbols_BS in long_enough:
        for _ in range(TARGETS):
            target_B = torch.randint(longest, symbols_BS.shape[1], (len(symbols_BS),), generator=generator)
            stretches.append(symbols_BS.gather(1, target_B[:, None] + torch.arange(-longest, 1)))
            firsts.append(target_B - longest)
    stretch_BC, first_B = torch.cat(stretches), torch.cat(firsts)
    nats, errors = [], []
    for length in lengths:
        rows_BC = stretch_BC[:, -length - 1 :]
        last_BC = (torch.arange(length + 1) == length).expand(rows_BC.shape)
        logp_BV = asked.next_ones(rows_BC, last_BC, first_B=first_B + longest - length)
        found = surprisal_nats(logp_BV, rows_BC[:, -1]).double()
        nats.append(float(found.mean()))
        errors.append(float(found.std() / len(found) ** 0.5))
    return [
        ContextLoss(
            run=asked.spec.id,
            arm=asked.spec.arm,
            budget_flops=asked.spec.budget_flops,
            non_embedding_parameters=asked.spec.non_embedding_parameters,
            lengths=lengths,
            nats=nats,
            nats_se=errors,
            effective=next(
                length for length, each in zip(lengths, nats, strict=True) if each <= nats[-1] * (1 + SHARE)
            ),
        )
    ]


def in_order(text: Texts, spec: RunSpec) -> Tensor:
    """The windows as the run's order has them."""
    options = plugins.options("orders", spec.order, spec.order_options)
    permuted = plugins.load("orders", spec.order).permute(text.symbols_BS.numpy(), text.keys_B, options)
    return torch.from_numpy(permuted)
