"""AUC, average precision and F1 against their definitions, counted one by one."""

import numpy as np
import pytest
import torch

from bytegap.probe.metrics import detect, mean_and_se


@pytest.fixture(params=[0, 1, 2])
def case(request):
    """(scores, which positions are positive); rounded scores have ties."""
    rng = np.random.default_rng(request.param)
    is_positive = rng.random(300) < 0.3
    return np.round(rng.normal(size=300) + is_positive, request.param), is_positive


def test_auc_is_the_share_of_pairs_in_the_right_order(case):
    score, is_positive = case
    wins = [(a > b) + 0.5 * (a == b) for a in score[is_positive] for b in score[~is_positive]]
    assert detect(score, is_positive).auc == pytest.approx(np.mean(wins))


def test_average_precision_and_f1_are_over_all_thresholds(case):
    score, is_positive = case
    average, best, before = 0.0, 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        predicted = score >= threshold
        hits = (predicted & is_positive).sum()
        precision, recall = hits / predicted.sum(), hits / is_positive.sum()
        average += (recall - before) * precision
        best = max(best, 2 * hits / (predicted.sum() + is_positive.sum()))
        before = recall
    found = detect(score, is_positive)
    assert found.average_precision == pytest.approx(average)
    assert found.best_f1 == pytest.approx(best)


def test_a_score_without_information_is_at_chance():
    is_positive = np.random.default_rng(0).random(40_000) < 0.25
    found = detect(np.random.default_rng(1).random(40_000), is_positive)
    assert found.auc == pytest.approx(0.5, abs=0.02)
    assert found.average_precision == pytest.approx(found.base_rate, abs=0.02)
    assert found.best_f1 == pytest.approx(2 * found.base_rate / (1 + found.base_rate), abs=0.02)
    constant = detect(np.zeros(40_000), is_positive)
    assert (constant.auc, constant.average_precision) == (0.5, found.base_rate)


def test_the_standard_error_of_a_mean_is_its_deviation_over_root_n():
    assert mean_and_se(torch.tensor([1.0, 2.0, 3.0, 6.0])) == pytest.approx((3.0, (14 / 3) ** 0.5 / 2))
