"""AUC, average precision and F1 against their definitions, counted one by one."""

import numpy as np
import pytest

from bytegap.probe.detection import detect


@pytest.fixture(params=[0, 1, 2])
def case(request):
    generator = np.random.default_rng(request.param)
    is_kind = generator.random(300) < 0.3
    return np.round(generator.normal(size=300) + is_kind, request.param), is_kind  # with ties where rounded


def test_auc_is_the_share_of_pairs_in_order(case):
    signal, is_kind = case
    wins = [(a > b) + 0.5 * (a == b) for a in signal[is_kind] for b in signal[~is_kind]]
    assert detect(signal, is_kind).auc == pytest.approx(np.mean(wins))


def test_average_precision_and_f1_over_all_thresholds(case):
    signal, is_kind = case
    average, best, before = 0.0, 0.0, 0.0
    for threshold in sorted(set(signal.tolist()), reverse=True):
        taken = signal >= threshold
        hits = (taken & is_kind).sum()
        precision, recall = hits / taken.sum(), hits / is_kind.sum()
        average += (recall - before) * precision
        best = max(best, 2 * hits / (taken.sum() + is_kind.sum()))
        before = recall
    found = detect(signal, is_kind)
    assert found.average_precision == pytest.approx(average)
    assert found.best_f1 == pytest.approx(best)


def test_a_signal_without_information_is_at_chance():
    is_kind = np.random.default_rng(0).random(40_000) < 0.25
    found = detect(np.random.default_rng(1).random(40_000), is_kind)
    assert found.auc == pytest.approx(0.5, abs=0.02)
    assert found.average_precision == pytest.approx(found.base_rate, abs=0.02)
    assert found.best_f1 == pytest.approx(2 * found.base_rate / (1 + found.base_rate), abs=0.02)
    constant = detect(np.zeros(40_000), is_kind)
    assert (constant.auc, constant.average_precision) == (0.5, found.base_rate)
