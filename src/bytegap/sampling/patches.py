"""Patches in random order, each filled from left to right given all others that are filled."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bytegap.nn.patches import draw_patches, hidden_patches, random_order
from bytegap.sampling.base import Sampler, SamplerModel, SamplingSettings, check_fits, draw_tokens


@dataclass(frozen=True)
class HiddenPatches(Sampler):
    """Sampling of one token a step; what is filled of earlier patches is visible from both sides."""

    size: int
    """Tokens in a patch."""
    left_to_right: ClassVar[bool] = False

    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Fill the masked tokens, wherever they are; GenerateError where the sequence is too long."""
        check_fits(model, sequence_S)
        vocabulary, S = model.vocabulary, len(sequence_S)
        patch_BS = draw_patches(1, S, self.size, rng)
        key_S, hidden_S = random_order(patch_BS, rng)[0], sequence_S == vocabulary.mask
        indices = hidden_S.nonzero()[:, 0]
        for index in indices[key_S[indices].argsort(stable=True)]:
            hidden_S[(patch_BS[0] != patch_BS[0, index]) & (sequence_S != vocabulary.mask)] = False
            inputs_BP, attention = hidden_patches(
                sequence_S[None], hidden_S[None], patch_BS, bos=vocabulary.bos, mask=vocabulary.mask
            )
            logits_MV = model(inputs_BP, index[None] + 1, attention)
            sequence_S[index] = draw_tokens(logits_MV, settings, vocabulary, rng)[0]
            yield index[None]
