"""Masked diffusion: the sequence as one input, its masked tokens revealed over several steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.nn.attention_spec import BIDIRECTIONAL
from bytegap.sampling.base import Sampler, SamplerModel, SamplingSettings, Unmasking, check_fits


@dataclass(frozen=True)
class MaskedDiffusion(Sampler):
    """Sampling by unmasking a sequence in any order."""

    left_to_right: ClassVar[bool] = False
    unmasks_in_steps: ClassVar[bool] = True

    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Fill the masked tokens, wherever they are; GenerateError where the sequence is too long."""
        check_fits(model, sequence_S)
        vocabulary = model.vocabulary

        def logits_at(indices_M: Tensor) -> Tensor:
            inputs_BP = functional.pad(sequence_S, (1, 0), value=vocabulary.bos)[None]
            return model(inputs_BP, indices_M + 1, BIDIRECTIONAL)

        masked_M = (sequence_S == vocabulary.mask).nonzero()[:, 0]
        yield from Unmasking(settings, vocabulary, rng).unmask(logits_at, sequence_S, masked_M)
