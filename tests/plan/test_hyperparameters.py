"""The rule for learning rate and batch size."""

from itertools import islice

import pytest

from bytegap.models.base import model_family
from bytegap.plan.hyperparameters import RULE, Setting, batch_tokens, learning_rate, optimizer


def test_batch_size_depends_on_supervised_tokens():
    assert batch_tokens(1e6, 1.0) == pytest.approx(260)
    assert batch_tokens(3e6, 1 / 3) / 3 == pytest.approx(260), "as many supervised tokens in all, as many in a batch"
    assert batch_tokens(4e6, 0.5) / batch_tokens(1e6, 0.5) == pytest.approx(2)


def test_learning_rate_is_inverse_to_d_model_up_to_its_cap():
    configs = islice(model_family("transformer").sizes(n_ids=259, max_positions=65), 17)
    sizes = {config.d_model: config.parameters().non_embedding for config in configs}
    for d_model in (24, 48, 96, 256, 512):
        narrow, wide = learning_rate(sizes[d_model]), learning_rate(sizes[2 * d_model])
        assert narrow / wide == pytest.approx(2, rel=0.06)
    assert learning_rate(sizes[8]) == 0.015


def test_setting_changes_the_learning_rate_alone():
    rule, doubled = optimizer(10**6, 100), optimizer(10**6, 100, Setting(log2_learning_rate=1, log2_batch_size=1))
    assert rule == optimizer(10**6, 100, RULE)
    assert doubled == rule.model_copy(update={"learning_rate": 2 * rule.learning_rate})
