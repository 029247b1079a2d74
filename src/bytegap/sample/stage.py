"""Draw text from a model, onto standard output as it comes. Reads the model's folder; writes nothing."""

import sys
import time
from contextlib import nullcontext
from typing import Any

import torch
from rich.live import Live
from rich.text import Text
from torch import Tensor

from bytegap.console import literal, say
from bytegap.errors import SampleError
from bytegap.likelihood import stream
from bytegap.pretrained import open_model
from bytegap.samplers._base import Settings, text_of, way_of
from bytegap.trained import Trained

GAP = "_"
"""In a text to be filled in: one hidden symbol."""
_HIDDEN = "\u2591"
_FEW = 10_000_000  # weights; with fewer, one core is sooner done than several that wait for each other


def run(  # noqa: PLR0913 - one call site, everything is named
    model: str, *, prompt: str, infill: str | None, symbols: int | None, count: int, settings: Settings, seed: int
) -> None:
    """Draw `count` texts, each of a stream of random numbers of its own; SampleError where the model cannot."""
    trained = open_model(model)
    if sum(weight.numel() for weight in trained.network.parameters()) < _FEW:
        torch.set_num_threads(1)
    canvas_S = _filled(trained, infill) if infill is not None else _begun(trained, prompt, symbols)
    way = way_of(trained)
    for number in range(count):
        if number:
            _write(b"\n\n")
        started = time.perf_counter()
        size = _show(trained, way, canvas_S.clone(), settings, stream(seed, number))
        if sys.stdout.isatty():
            _write(b"\n")
        say("sample", f"{size} bytes, {size / (time.perf_counter() - started):,.0f} bytes a second")


def _begun(trained: Trained, prompt: str, symbols: int | None) -> Tensor:
    """The prompt and what is to follow it; by default as much as a row holds."""
    given = trained.tokenizer.encode_batch([prompt.encode()])[0].tolist()
    if symbols is None:
        symbols = trained.row_symbols - len(given)
    if symbols < 1:
        message = f"the prompt is {len(given)} symbols and a row holds {trained.row_symbols}: shorten it"
        raise SampleError(message)
    return torch.tensor([*given, *[trained.vocabulary.mask] * symbols])


def _filled(trained: Trained, infill: str) -> Tensor:
    """A text, each `GAP` of it one hidden symbol."""
    if GAP not in infill:
        message = f"'{infill}' has nothing to fill in: write {GAP} where a symbol is wanted, as in 'The {GAP * 4} of'"
        raise SampleError(message)
    parts = trained.tokenizer.encode_batch([part.encode() for part in infill.split(GAP)])
    symbols = parts[0].tolist()
    for part in parts[1:]:
        symbols += [trained.vocabulary.mask, *part.tolist()]
    return torch.tensor(symbols)


def _show(trained: Trained, way: Any, canvas_S: Tensor, settings: Settings, generator: torch.Generator) -> int:
    """Draw one text, showing it as it grows: the bytes that are certain, or, on a terminal, all with its gaps."""
    mask = trained.vocabulary.mask
    done = size = 0
    in_gaps = not way.IN_ORDER and sys.stdout.isatty()
    with torch.no_grad(), Live(console=literal(), transient=True) if in_gaps else nullcontext() as live:
        for _ in way.draw(trained, canvas_S, settings, generator):
            hidden = (canvas_S[done:] == mask).nonzero()
            certain = done + int(hidden[0, 0]) if len(hidden) else len(canvas_S)
            if live:
                live.update(Text(text_of(trained, canvas_S, _HIDDEN).decode(errors="replace")))
            else:
                size += _write(text_of(trained, canvas_S[done:certain]))
                done = certain
    return size if not in_gaps else _write(text_of(trained, canvas_S))


def _write(data: bytes) -> int:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return len(data)
