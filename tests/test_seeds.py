"""How far seeds scatter: against draws whose deviations are known."""

import numpy as np
import pytest

from bytegap.seeds import spread, table

PLACES, SEEDS = 9, 8


def drawn(rng, own, moved, places=PLACES):
    return rng.normal(2.0, 0.1, (places, 1)) + rng.normal(0, moved, SEEDS) + rng.normal(0, own, (places, SEEDS))


def test_what_a_seed_moves_everywhere_is_between_seeds_and_not_among_places():
    rng = np.random.default_rng(0)
    found = [spread(drawn(rng, 0.01, 0.03)) for _ in range(300)]
    assert np.sqrt(np.mean([each.own**2 for each in found])) == pytest.approx(0.01, rel=0.03)
    assert np.sqrt(np.mean([each.between**2 for each in found])) == pytest.approx(np.hypot(0.01, 0.03), rel=0.05)
    assert np.mean([each.error_P for each in found]) == pytest.approx(0.01 / np.sqrt(SEEDS), rel=0.05)


def test_a_place_whose_seeds_disagree_is_less_sure():
    log_loss = drawn(np.random.default_rng(1), 0.01, 0.0)
    log_loss[3] += np.linspace(-0.2, 0.2, SEEDS)
    assert spread(log_loss).error_P.argmax() == 3


def test_one_seed_tells_nothing():
    assert spread(np.zeros((4, 1))) is None


def test_places_may_lack_seeds():
    log_loss = table([{0: 1.0, 1: 1.1}, {1: 1.3}, {0: 1.2, 2: 1.4}])
    assert log_loss.shape == (3, 3)
    assert np.isnan(log_loss).sum() == 4
    found = spread(log_loss)
    assert found.between == pytest.approx(np.sqrt((2 * 0.05**2 + 2 * 0.1**2) / 2))
    assert (found.error_P > 0).all()
