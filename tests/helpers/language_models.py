"""Language models for tests: any network with any objective, over bytes or small made-up vocabularies."""

import torch

from bytegap.data.tokenizers.bytes import ByteTokenizer
from bytegap.lm.language_model import LanguageModel


def language_model(network, objective, vocabulary, seq_len, **fields):
    """A model whose tokenizer is that of bytes, whatever its vocabulary."""
    return LanguageModel(
        name="test model",
        network=network,
        objective=objective,
        vocabulary=vocabulary,
        tokenizer=ByteTokenizer(),
        seq_len=seq_len,
        **fields,
    )


class TokensOnly(torch.nn.Module):
    """A network that gives ids from `outcomes` on, BOS and MASK, no probability, so that none is lost."""

    def __init__(self, network, outcomes):
        super().__init__()
        self.network, self.outcomes = network, outcomes

    def forward(self, ids_BP, positions_M, attention):
        logits = self.network(ids_BP, positions_M, attention)
        return logits.masked_fill(torch.arange(logits.shape[1]) >= self.outcomes, -torch.inf)


class Unigram(torch.nn.Module):
    """A model without context: the same distribution at every position."""

    def __init__(self, n_ids):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.randn(n_ids, generator=torch.Generator().manual_seed(2)))

    def forward(self, ids_BP, positions_M, attention):
        del ids_BP, attention
        return self.logits.expand(len(positions_M), -1)
