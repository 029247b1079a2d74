"""Samplers of patches and streams against the enumerated distribution of the same network."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from scipy import stats

from bytegap.lm.likelihood import rng_for
from bytegap.nn.patches import draw_patches
from bytegap.objectives.patch import Patch
from bytegap.objectives.streams import Streams
from bytegap.sampling.base import SamplingSettings
from tests.helpers.enumerated_patches import (
    TEXTS,
    VOCABULARY,
    S,
    nats_by_interleaving,
    nats_by_order,
    nats_by_order_of_hidden_patches,
    untrained,
)
from tests.helpers.language_models import language_model

DRAWS = 800
BY_ORDER = {
    "order": lambda model, text, size: nats_by_order(model, torch.tensor([text]), size)[:, 0].tolist(),
    "mask": nats_by_order_of_hidden_patches,
    "streams": nats_by_interleaving,
}


def objective_of(kind, size):
    return Streams(size=size) if kind == "streams" else Patch(size=size, by=kind)


@torch.no_grad()
def generated(model, start_S, seed):
    sequence_S = start_S.clone()
    steps = list(model.objective.sampler().generate(model, sequence_S, SamplingSettings(), rng_for(seed)))
    return tuple(sequence_S.tolist()), [int(step) for step in steps]


@pytest.mark.parametrize("size", [1, 2, 3, S])
@pytest.mark.parametrize("kind", BY_ORDER)
def test_samples_follow_the_mixture_over_orders(kind, size):
    network = untrained()
    model = language_model(network, objective_of(kind, size), VOCABULARY, S)
    expected = {}
    for text in TEXTS.tolist():
        nats = torch.tensor(BY_ORDER[kind](network, text, size))
        expected[tuple(text)] = float((-nats).exp().mean())
    assert sum(expected.values()) == pytest.approx(1, abs=1e-5)
    found = Counter(generated(model, torch.full((S,), VOCABULARY.mask), seed)[0] for seed in range(4000, 4000 + DRAWS))
    assert set(found) <= set(expected)
    rare = [text for text, p in expected.items() if p * DRAWS < 5]
    frequent = [text for text in expected if text not in rare]
    counts, means = [found[text] for text in frequent], [expected[text] * DRAWS for text in frequent]
    if rare:
        counts, means = [*counts, DRAWS - sum(counts)], [*means, DRAWS - sum(means)]
    assert stats.chisquare(counts, means, sum_check=False).pvalue > 1e-3


@pytest.mark.parametrize("kind", BY_ORDER)
def test_gaps_are_filled_patch_by_patch_and_from_left_to_right(kind):
    """Given tokens stay; the hidden ones of a patch come in the order of the text, without a break but in streams."""
    length, size, mask = 12, 4, VOCABULARY.mask
    model = language_model(untrained(length), objective_of(kind, size), VOCABULARY, length)
    start_S = torch.full((length,), mask)
    start_S[[2, 7]] = 0
    for seed in range(20):
        text, steps = generated(model, start_S, seed)
        assert mask not in text
        assert (text[2], text[7]) == (0, 0)
        assert sorted(steps) == [i for i in range(length) if i not in {2, 7}]
        if kind == "streams":
            patch = [i // size for i in range(length)]
        else:  # the same draw as the sampler's, which is its first
            patch = draw_patches(1, length, size, rng_for(seed))[0].tolist()
            order = [patch[i] for i in steps]
            assert len(list(dict.fromkeys(order))) == sum(a != b for a, b in pairwise(order)) + 1
        for own in set(patch):
            inside = [i for i in steps if patch[i] == own]
            assert inside == sorted(inside)
