"""Streams that are filled from left to right, interleaved at random: the sequence as one input, one token a step."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.data.vocabulary import Vocabulary
from bytegap.nn.attention_spec import BIDIRECTIONAL, AttentionSpec
from bytegap.sampling.base import TokenByToken


@dataclass(frozen=True)
class Streams(TokenByToken):
    """Sampling of the next token of a stream, and of the next of another."""

    size: int
    """Tokens in a stream."""

    def rows(
        self, sequence_S: Tensor, vocabulary: Vocabulary, rng: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor, AttentionSpec]]:
        """In a uniformly random interleaving."""
        masked = (sequence_S == vocabulary.mask).nonzero()[:, 0]
        labels = (masked // self.size)[torch.randperm(len(masked), generator=rng)]
        # The n-th time that a label comes, the n-th masked token of its stream is next.
        order = torch.empty_like(masked)
        order[labels.argsort(stable=True)] = masked
        for index in order:
            yield index, functional.pad(sequence_S, (1, 0), value=vocabulary.bos)[None], BIDIRECTIONAL
