"""Patches in random order, each filled from left to right given all others that are filled."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bytegap.data.vocabulary import Vocabulary
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.nn.patches import draw_patches, hidden_patches, random_order
from bytegap.sampling.base import TokenByToken


@dataclass(frozen=True)
class HiddenPatches(TokenByToken):
    """Sampling of patches; what is filled of earlier ones is visible from both sides."""

    size: int
    """Tokens in a patch."""

    def rows(
        self, sequence_S: Tensor, vocabulary: Vocabulary, rng: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor, AttentionSpec]]:
        """Patch by patch."""
        patch_BS = draw_patches(1, len(sequence_S), self.size, rng)
        key_S, hidden_S = random_order(patch_BS, rng)[0], sequence_S == vocabulary.mask
        indices = hidden_S.nonzero()[:, 0]
        for index in indices[key_S[indices].argsort(stable=True)]:
            hidden_S[(patch_BS[0] != patch_BS[0, index]) & (sequence_S != vocabulary.mask)] = False
            inputs_BP, attention = hidden_patches(
                sequence_S[None], hidden_S[None], patch_BS, bos=vocabulary.bos, mask=vocabulary.mask
            )
            yield index, inputs_BP, attention
