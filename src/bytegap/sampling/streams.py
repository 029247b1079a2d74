"""Streams that grow from left to right, interleaved at random: the sequence as one input, one token a step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.nn.attention_spec import BIDIRECTIONAL
from bytegap.sampling.base import Sampler, SamplerModel, SamplingSettings, check_fits, draw_tokens


@dataclass(frozen=True)
class Streams(Sampler):
    """Sampling of one token a step, the next one of a stream."""

    size: int
    """Tokens in a stream."""
    left_to_right: ClassVar[bool] = False

    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Fill the masked tokens, wherever they are; GenerateError where the sequence is too long."""
        check_fits(model, sequence_S)
        vocabulary = model.vocabulary
        masked = (sequence_S == vocabulary.mask).nonzero()[:, 0]
        labels = (masked // self.size)[torch.randperm(len(masked), generator=rng)]
        # The n-th time that a label comes, the n-th masked token of its stream is next.
        order = torch.empty_like(masked)
        order[labels.argsort(stable=True)] = masked
        for index in order:
            inputs_BP = functional.pad(sequence_S, (1, 0), value=vocabulary.bos)[None]
            logits_MV = model(inputs_BP, index[None] + 1, BIDIRECTIONAL)
            sequence_S[index] = draw_tokens(logits_MV, settings, vocabulary, rng)[0]
            yield index[None]
