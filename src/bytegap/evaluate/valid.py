"""How much of what a model draws is valid UTF-8."""

import codecs

import torch

from bytegap.console import track
from bytegap.likelihood import stream
from bytegap.samplers._base import Settings, text_of, way_of
from bytegap.trained import Trained

Found = dict[str, int]


def of_samples(trained: Trained, texts: int) -> Found:
    """Of so many texts, a row each, from the model's own law: how many, and how many of their bytes, are valid.

    A sequence that the end of a row cuts is none of the model's doing: it counts as valid.
    """
    drawn = [_drawn(trained, seed) for seed in track(range(texts), "drawing")]
    stray = [_stray(text) for text in drawn]
    return {
        "texts": texts,
        "bytes": sum(map(len, drawn)),
        "valid_texts": sum(not bad for bad in stray),
        "valid_bytes": sum(map(len, drawn)) - sum(stray),
    }


@torch.no_grad()
def _drawn(trained: Trained, seed: int) -> bytes:
    canvas_S = torch.full((trained.row_symbols,), trained.vocabulary.mask)
    for _ in way_of(trained).draw(trained, canvas_S, Settings(), stream(trained.seed, seed)):
        pass
    return text_of(trained, canvas_S)


def _stray(text: bytes) -> int:
    """Bytes that belong to no code point, nor to one that the end cuts."""
    points = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(text, final=False)
    return sum(0xDC80 <= ord(point) <= 0xDCFF for point in points)
