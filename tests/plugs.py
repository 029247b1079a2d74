"""Every model and objective that exists, found by name: a new plug-in file is tested by existing."""

import itertools

import torch

from bytegap import plugins
from bytegap.objectives._base import Vocabulary

MODELS = sorted(plugins.names("models"))
OBJECTIVES = sorted(plugins.names("objectives"))
PAIRS = list(itertools.product(MODELS, OBJECTIVES))


def build(model_name, objective_name, *, symbols=19, row=12, rung=3, seed=0):
    """A small model for an objective: (model, its module, shape, objective, vocabulary)."""
    module, objective = plugins.load("models", model_name), plugins.load("objectives", objective_name)
    vocabulary = Vocabulary(symbols)
    shapes = module.ladder(vocabulary=vocabulary.ids, positions=row + 1, aims=getattr(objective, "AIMS", False))
    shape = next(itertools.islice(shapes, rung, None))
    model = module.build(shape)
    model.initialise(seed)
    return model, module, shape, objective, vocabulary


def shake(model, seed=0):
    """Give every weight a random value: a head at zero would hide most mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model


def asked(model, question):
    """The model's logits where the question wants them."""
    return model(question.inputs_BP, question.positions_M, question.sight)


def symbols(rows, row, vocabulary, seed=0):
    """Random rows of symbols."""
    return torch.randint(vocabulary.symbols + 1, (rows, row), generator=torch.Generator().manual_seed(seed))
