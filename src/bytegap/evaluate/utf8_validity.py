"""How much of the text that a model generates is valid UTF-8."""

import codecs

import torch

from bytegap.console import track
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.sampling.base import SamplingSettings
from bytegap.schema.evaluate import Utf8Validity


def validity_of_samples(model: LanguageModel, texts: int) -> Utf8Validity:
    """Generate that many texts, each of the model's length, at temperature 1, and count what is valid UTF-8."""
    generated = [_generate(model, seed) for seed in track(range(texts), "generating")]
    invalid = [invalid_bytes(text) for text in generated]
    n_bytes = sum(map(len, generated))
    return Utf8Validity(
        texts=texts,
        bytes=n_bytes,
        valid_texts=sum(not count for count in invalid),
        valid_bytes=n_bytes - sum(invalid),
    )


@torch.no_grad()
def _generate(model: LanguageModel, seed: int) -> bytes:
    sequence_S = torch.full((model.seq_len,), model.vocabulary.mask)
    for _ in model.objective.sampler().generate(model, sequence_S, SamplingSettings(), rng_for(model.seed, seed)):
        pass
    return model.decode(sequence_S)


def invalid_bytes(text: bytes) -> int:
    """Bytes that belong to no code point, nor to one that the end of the text cuts."""
    points = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(text, final=False)
    return sum(0xDC80 <= ord(point) <= 0xDCFF for point in points)
