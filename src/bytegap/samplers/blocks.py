"""Block diffusion: from block to block, each revealed over steps, those before it read once (KV cache)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bytegap.samplers import masked
from bytegap.samplers._base import Settings, given_before, reveal
from bytegap.sight import Memory
from bytegap.trained import Trained

IN_ORDER = True
"""Whether the text comes from left to right."""


def draw(trained: Trained, canvas_S: Tensor, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Fill the canvas from its first hidden place on; ends early where a block holds EOS.

    BOS is a clean block before the first. A block is read as often as it has steps, and once more, clean, for those
    that follow.
    """
    size, vocabulary = trained.options.size, trained.vocabulary
    if not size:  # one block is the whole row
        yield from masked.draw(trained, canvas_S, settings, generator)
        return
    masked.fits(trained, canvas_S)
    start = given_before(canvas_S, vocabulary)
    memory = Memory(trained.row_symbols + 1)
    unread = torch.tensor([vocabulary.bos])
    for begin in range(0, len(canvas_S), size):
        trained(unread[None], torch.tensor([0]), memory.sight(len(unread), causal=False))
        memory.keep(len(unread))
        unread = canvas_S[begin : begin + size]  # of the canvas: filled below
        places = torch.arange(begin, begin + len(unread))[max(0, start - begin) :]

        def ask(places: Tensor, begin: int = begin, block: Tensor = unread) -> Tensor:
            return trained(block[None], places - begin, memory.sight(len(block), causal=False))

        yield from reveal(ask, canvas_S, places, settings, vocabulary, generator)
        if len(places) and (unread == vocabulary.eos).any():
            return
