"""From left to right, one symbol a step, each position read once (KV cache)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bytegap.samplers._base import Settings, choose, given_before
from bytegap.sight import Memory
from bytegap.trained import Trained

IN_ORDER = True
"""Whether the text comes from left to right."""


def draw(trained: Trained, canvas_S: Tensor, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Fill the canvas from its first hidden place on; ends early at EOS.

    Where the text outgrows the row, the model goes on from the last half of it as from the start of a row.
    """
    vocabulary, S = trained.vocabulary, trained.row_symbols
    bos = torch.tensor([vocabulary.bos])
    start = given_before(canvas_S, vocabulary)
    memory, unread = Memory(S + 1), torch.cat((bos, canvas_S[max(0, start - S + 1) : start]))
    for place in range(start, len(canvas_S)):
        if memory.length + len(unread) > S:
            memory, unread = Memory(S + 1), torch.cat((bos, canvas_S[place - S // 2 : place]))
        last = torch.tensor([len(unread) - 1])
        logits_MV = trained(unread[None], last, memory.sight(len(unread), causal=True))
        memory.keep(len(unread))
        unread = choose(logits_MV, settings, vocabulary, generator)
        canvas_S[place] = unread[0]
        yield torch.tensor([place])
        if unread[0] == vocabulary.eos:
            return
