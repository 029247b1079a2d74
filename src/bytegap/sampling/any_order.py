"""Any-order autoregression: given tokens first, then the masked ones in random order, with a KV cache.

The order is one of patches of tokens, which are filled from left to right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.nn.attention_spec import cached_spec
from bytegap.nn.kv_cache import KVCache
from bytegap.nn.patches import draw_patches, draw_patches_of_lengths, random_order
from bytegap.sampling.base import Sampler, SamplerModel, SamplingSettings, check_fits, draw_tokens


@dataclass(frozen=True)
class AnyOrder(Sampler):
    """Sampling of one token a step, patches in random order."""

    patch_size: int = 1
    """Tokens in a patch, or the most of one."""
    lengths: Literal["equal", "drawn"] = "equal"
    """Whether all patches have as many tokens, or their lengths are drawn."""

    left_to_right: ClassVar[bool] = False

    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Fill the masked tokens, wherever they are, one a step; GenerateError where the sequence is too long."""
        check_fits(model, sequence_S)
        vocabulary = model.vocabulary
        masked_S = sequence_S == vocabulary.mask
        given, masked = (~masked_S).nonzero()[:, 0], masked_S.nonzero()[:, 0]
        draw = draw_patches_of_lengths if self.lengths == "drawn" else draw_patches
        key_S = random_order(draw(1, len(sequence_S), self.patch_size, rng), rng)[0]
        masked = masked[key_S[masked].argsort(stable=True)]
        order = torch.cat((given, masked))
        # Position i has the i-th token of the order, at its own position in the text, and predicts the next one.
        position_ids_P, target_ids_P = functional.pad(order + 1, (1, 0))[:-1], order + 1
        cache, unread = KVCache(model.seq_len + 1), functional.pad(sequence_S[given], (1, 0), value=vocabulary.bos)
        for index in masked:
            P = len(unread)
            own = slice(cache.length, cache.length + P)
            attention = cached_spec(
                cache, P, causal=True, position_ids=position_ids_P[own], query_position_ids=target_ids_P[own]
            )
            logits_MV = model(unread[None], torch.tensor([P - 1]), attention)
            cache.advance(P)
            unread = draw_tokens(logits_MV, settings, vocabulary, rng)
            sequence_S[index] = unread[0]
            yield index[None]
