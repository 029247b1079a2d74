"""Block diffusion: blocks from left to right, each revealed over several steps, with a KV cache of earlier blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bytegap.nn.attention_spec import cached_spec
from bytegap.nn.kv_cache import KVCache
from bytegap.sampling.base import Sampler, SamplerModel, SamplingSettings, Unmasking, check_fits, prompt_length


@dataclass(frozen=True)
class BlockDiffusion(Sampler):
    """Sampling by unmasking within blocks, blocks in order."""

    size: int
    """Tokens in a block."""
    left_to_right: ClassVar[bool] = True
    unmasks_in_steps: ClassVar[bool] = True

    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Fill the sequence from its first MASK on; ends early where a block holds EOS.

        BOS is a clean block before the first.
        A block takes a forward a step, and one more, clean, for the blocks that follow.
        """
        check_fits(model, sequence_S)
        vocabulary, size = model.vocabulary, self.size
        start = prompt_length(sequence_S, vocabulary)
        cache, unread = KVCache(model.seq_len + 1), torch.tensor([vocabulary.bos])
        unmasking = Unmasking(settings, vocabulary, rng)
        for begin in range(0, len(sequence_S), size):
            model(unread[None], torch.tensor([0]), cached_spec(cache, len(unread), causal=False))
            cache.advance(len(unread))
            unread = sequence_S[begin : begin + size]  # a view: filled below
            indices = torch.arange(begin, begin + len(unread))[max(0, start - begin) :]

            def logits_at(indices_M: Tensor, begin: int = begin, block: Tensor = unread) -> Tensor:
                return model(block[None], indices_M - begin, cached_spec(cache, len(block), causal=False))

            yield from unmasking.unmask(logits_at, sequence_S, indices)
            if len(indices) and (unread == vocabulary.eos).any():
                return
