"""Metrics of a run: divergence, parameter groups, storage in a checkpoint."""

import pytest

from bytegap.train.metrics import TrainMetrics
from tests.helpers.trainers import train_to_end, weights_of


@pytest.mark.parametrize(
    ("later_losses", "diverged"),
    [([], False), ([3.1] * 15, True), ([3.1] * 10 + [2.9] * 5, False), ([9.9] * 4 + [2.9] * 11, False)],
)
def test_has_diverged_where_the_last_three_stretches_lie_above_the_first(later_losses, diverged):
    assert TrainMetrics(losses=[3.0] * 10 + later_losses).has_diverged(5) is diverged


def test_update_rms_of_the_embedding(tiny):
    trainer = tiny.trainer("byte-ar", steps=2)
    steps = trainer.steps()
    next(steps)
    before = weights_of(trainer)
    next(steps)  # the middle of two steps
    after = weights_of(trainer)
    embeddings = [name for name in before if "embed" in name]
    assert len(embeddings) == 1
    change = sum(float((after[name] - before[name]).square().sum()) for name in embeddings)
    size = sum(float(before[name].square().sum()) for name in embeddings)
    assert trainer.metrics.update_rms["embedding"] == pytest.approx((change / size) ** 0.5)


def test_metrics_are_read_back_as_they_were_written(tiny):
    metrics = train_to_end(tiny.trainer("byte-ar", steps=3)).metrics
    metrics.compile_error = "step 1: AssertionError"
    assert TrainMetrics.from_json(metrics.to_json()) == metrics
