"""The learning rate schedule."""

import pytest

from bytegap.train.optimizer import learning_rate


def test_learning_rate_warms_up_and_decays_to_zero(tiny):
    optimizer = tiny.specs["byte-ar"].optimizer.model_copy(update={"warmup_steps": 10, "learning_rate": 0.5})
    rates = [learning_rate(optimizer, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == rates[9] == rates[10] == 0.5
    assert rates[55] == pytest.approx(0.25)
    assert rates[99] == pytest.approx(0.5 / 90)
