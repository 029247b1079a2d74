"""Every model family and objective that is installed, so that a new part is tested by existing."""

from itertools import islice, product

import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.models.base import model_family
from bytegap.objectives.base import Sequences
from bytegap.study import registry

MODELS = sorted(registry.names("model"))
OBJECTIVES = sorted(registry.names("objective"))
PAIRS = list(product(MODELS, OBJECTIVES))


def config_for(model_name, options=None, *, vocab_size=19, seq_len=12, size=3):
    """The config of a small model."""
    family = model_family(model_name, options)
    return next(islice(family.sizes(n_ids=Vocabulary(vocab_size).n_ids, max_positions=seq_len + 1), size, None))


def build_model(model_name, options=None, *, vocab_size=19, seq_len=12, size=3, seed=0):
    """A small initialized model."""
    model = config_for(model_name, options, vocab_size=vocab_size, seq_len=seq_len, size=size).build()
    model.initialize(seed)
    return model


def shake(model, seed=0):
    """Add a random value to every weight: a head at zero would hide most mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model


def logits_of(model, batch):
    """The model's logits at the batch's supervised positions."""
    return model(batch.inputs_BP, batch.positions_M, batch.attention)


def random_tokens(rows, seq_len, vocabulary, seed=0):
    """Sequences of random tokens and EOS."""
    return torch.randint(vocabulary.vocab_size + 1, (rows, seq_len), generator=torch.Generator().manual_seed(seed))


def sequences(tokens_BS, t_B=None, seed=0, vocabulary=None, **options):
    """Sequences with times, uniform ones by default, and a generator of their own."""
    t_B = torch.rand(len(tokens_BS)) if t_B is None else t_B
    rng = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    return Sequences(tokens_BS, t_B, rng, vocabulary or Vocabulary(5), **options)
