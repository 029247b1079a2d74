"""What all ways of drawing share: settings, and one symbol from logits. M places asked, V ids, S symbols a canvas."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.errors import SampleError
from bytegap.finite import check_logits
from bytegap.objectives._base import Vocabulary
from bytegap.trained import Trained

Ask = Callable[[Tensor], Tensor]
"""Logits (M, V) at places (M,) of the canvas as it is."""


@dataclass(frozen=True)
class Settings:
    """How a text is drawn."""

    temperature: float = 1.0
    """Logits are divided by it; 0: always the likeliest symbol."""
    steps: int | None = None
    """Of masked models, over the row or over each block; None: one a symbol."""
    how: Literal["first-hitting", "ancestral", "confidence"] = "first-hitting"
    """Which symbols of a masked model a step reveals."""


def way_of(trained: Trained) -> Any:
    """The module of `samplers` that draws from the run; SampleError where its objective names none."""
    drawn = getattr(trained.objective, "DRAWN", None)
    if drawn is None:
        message = f"{trained.name}: its objective names no way of drawing (DRAWN): one of bytegap/samplers/"
        raise SampleError(message)
    return plugins.load("samplers", drawn)


def text_of(trained: Trained, canvas_S: Tensor, hidden: str = "") -> bytes:
    """The bytes of a canvas, `hidden` for each symbol that is, nothing for those that stand for no text."""
    of_symbol, mask = trained.tokenizer.symbol_bytes, trained.vocabulary.mask
    return b"".join(
        hidden.encode() if symbol == mask else of_symbol[symbol] if symbol < len(of_symbol) else b""
        for symbol in canvas_S.tolist()
    )


def choose(logits_MV: Tensor, settings: Settings, vocabulary: Vocabulary, generator: torch.Generator) -> Tensor:
    """A symbol, or EOS, at each place, (M,): BOS and MASK are never text, unless BOS is EOS; -1 is no MASK at all.

    ModelError where a logit is NaN or plus infinity, or no symbol can be drawn.
    """
    logits_MV = logits_MV.double()
    for never in {vocabulary.bos, vocabulary.mask} - {vocabulary.eos, -1}:
        logits_MV[:, never] = -torch.inf
    check_logits(logits_MV, "the model")
    if not settings.temperature:
        return logits_MV.argmax(-1)
    # The likeliest after Gumbel noise is a draw from the softmax (Gumbel 1954), in fewer operations than multinomial's.
    noise_MV = torch.empty_like(logits_MV).exponential_(generator=generator).log_()
    return (logits_MV / settings.temperature - noise_MV).argmax(-1)


def given_before(canvas_S: Tensor, vocabulary: Vocabulary) -> int:
    """How many symbols the canvas begins with; SampleError if some are given after hidden ones."""
    hidden_S = canvas_S == vocabulary.mask
    known = int((~hidden_S).sum())
    if hidden_S[:known].any():
        message = "the model reads from left to right and cannot fill a gap: use a masked or an any-order run for that"
        raise SampleError(message)
    return known


def reveal(  # noqa: PLR0913, PLR0917 - what masked rows and masked blocks have in common
    ask: Ask,
    canvas_S: Tensor,
    hidden: Tensor,
    settings: Settings,
    vocabulary: Vocabulary,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Fill the `hidden` places of the canvas, as many steps as the settings say, at most one a place.

    first-hitting: in random order, equally many a step; one a step is exact (Zheng et al. 2024, arXiv 2409.02908:
    a network that is not told the time needs no times). ancestral: a place is revealed at step i of K with probability
    1 / (K - i), independently (Sahoo et al. 2024, eq. 7, time linear). confidence: the places whose drawn symbols are
    likeliest (Chang et al. 2022, sec. 3.2), equally many a step; this is no sample of the model's law.
    """
    steps = min(settings.steps or len(hidden), len(hidden))
    for left in range(steps, 0, -1):
        share = -(-len(hidden) // left)
        if settings.how == "ancestral":
            now = torch.rand(len(hidden), generator=generator) < 1 / left
        elif settings.how == "first-hitting":
            now = torch.randperm(len(hidden), generator=generator) < share
        else:
            now = torch.ones(len(hidden), dtype=torch.bool)
        places = hidden[now]
        if not len(places):
            continue  # nothing changed, so that nothing needs to be asked
        logits_MV = ask(places)
        drawn = choose(logits_MV, settings, vocabulary, generator)
        if settings.how == "confidence":
            likeliest = logits_MV.log_softmax(-1).gather(1, drawn[:, None])[:, 0].topk(share).indices
            now = torch.zeros(len(hidden), dtype=torch.bool).index_fill(0, likeliest, value=True)
            places, drawn = hidden[now], drawn[now]
        canvas_S[places] = drawn
        hidden = hidden[~now]
        yield places
