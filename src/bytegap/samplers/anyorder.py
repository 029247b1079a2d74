"""Any-order autoregression: what is given first, then the hidden places in random order (KV cache)."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.samplers import masked
from bytegap.samplers._base import Settings, choose
from bytegap.sight import Memory
from bytegap.trained import Trained

IN_ORDER = False
"""Whether the text comes from left to right."""


def draw(trained: Trained, canvas_S: Tensor, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Fill the hidden places, wherever they are, one a step; SampleError beyond a row's length."""
    masked.fits(trained, canvas_S)
    vocabulary = trained.vocabulary
    hidden_S = canvas_S == vocabulary.mask
    known, hidden = (~hidden_S).nonzero()[:, 0], hidden_S.nonzero()[:, 0]
    hidden = hidden[torch.randperm(len(hidden), generator=generator)]
    order = torch.cat((known, hidden))
    # Position i holds the i-th symbol of the order, at its place in the text, and is asked about the next one's.
    places_P, aims_P = functional.pad(order + 1, (1, 0))[:-1], order + 1
    memory, unread = Memory(trained.row_symbols + 1), functional.pad(canvas_S[known], (1, 0), value=vocabulary.bos)
    for place in hidden:
        own = slice(memory.length, memory.length + len(unread))
        sight = memory.sight(len(unread), causal=True, places_P=places_P[own], aims_BP=aims_P[own][None])
        logits_MV = trained(unread[None], torch.tensor([len(unread) - 1]), sight)
        memory.keep(len(unread))
        unread = choose(logits_MV, settings, vocabulary, generator)
        canvas_S[place] = unread[0]
        yield place[None]
