"""Left to right, one token a step, with a KV cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bytegap.nn.attention_spec import cached_spec
from bytegap.nn.kv_cache import KVCache
from bytegap.sampling.base import Sampler, SamplerModel, SamplingSettings, draw_tokens, prompt_length


@dataclass(frozen=True)
class LeftToRight(Sampler):
    """Autoregressive sampling."""

    left_to_right: ClassVar[bool] = True

    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Fill the sequence from its first MASK on; ends early at EOS.

        Where the text outgrows the model's sequence, its last half becomes the beginning of a new one.
        """
        vocabulary, S = model.vocabulary, model.seq_len
        bos = torch.tensor([vocabulary.bos])
        start = prompt_length(sequence_S, vocabulary)
        cache, unread = KVCache(S + 1), torch.cat((bos, sequence_S[max(0, start - S + 1) : start]))
        for index in range(start, len(sequence_S)):
            if cache.length + len(unread) > S:
                cache, unread = KVCache(S + 1), torch.cat((bos, sequence_S[index - S // 2 : index]))
            last = torch.tensor([len(unread) - 1])
            logits_MV = model(unread[None], last, cached_spec(cache, len(unread), causal=True))
            cache.advance(len(unread))
            unread = draw_tokens(logits_MV, settings, vocabulary, rng)
            sequence_S[index] = unread[0]
            yield torch.tensor([index])
            if unread[0] == vocabulary.eos:
                return
