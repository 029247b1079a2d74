"""Masked diffusion: the whole row at once, its hidden places revealed over steps."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.errors import SampleError
from bytegap.samplers._base import Settings, reveal
from bytegap.sight import ALL
from bytegap.trained import Trained

IN_ORDER = False
"""Whether the text comes from left to right."""


def draw(trained: Trained, canvas_S: Tensor, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Fill the hidden places, wherever they are, each given all that is there; SampleError beyond a row's length."""
    fits(trained, canvas_S)
    vocabulary = trained.vocabulary

    def ask(places: Tensor) -> Tensor:
        return trained(functional.pad(canvas_S, (1, 0), value=vocabulary.bos)[None], places + 1, ALL)

    hidden = (canvas_S == vocabulary.mask).nonzero()[:, 0]
    yield from reveal(ask, canvas_S, hidden, settings, vocabulary, generator)


def fits(trained: Trained, canvas_S: Tensor) -> None:
    """SampleError if the canvas is longer than a row."""
    if len(canvas_S) > trained.row_symbols:
        message = f"{len(canvas_S)} symbols: a row of {trained.name} holds {trained.row_symbols}: ask for fewer"
        raise SampleError(message)
