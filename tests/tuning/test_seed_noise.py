"""How much seeds change the loss: against draws whose standard deviations are known."""

import numpy as np
import pytest

from bytegap.tuning.seed_noise import loss_table, seed_noise

SETTINGS, SEEDS = 9, 8


def drawn(rng, noise, seed_effect, settings=SETTINGS):
    setting_P1 = rng.normal(2.0, 0.1, (settings, 1))
    return setting_P1 + rng.normal(0, seed_effect, SEEDS) + rng.normal(0, noise, (settings, SEEDS))


def test_a_common_seed_effect_counts_between_seeds_and_not_within_settings():
    rng = np.random.default_rng(0)
    found = [seed_noise(drawn(rng, 0.01, 0.03)) for _ in range(300)]
    assert np.sqrt(np.mean([each.within_setting_sd**2 for each in found])) == pytest.approx(0.01, rel=0.03)
    assert np.sqrt(np.mean([each.between_seed_sd**2 for each in found])) == pytest.approx(
        np.hypot(0.01, 0.03), rel=0.05
    )
    assert np.mean([each.error_P for each in found]) == pytest.approx(0.01 / np.sqrt(SEEDS), rel=0.05)


def test_a_setting_whose_seeds_disagree_has_the_largest_error():
    log_loss = drawn(np.random.default_rng(1), 0.01, 0.0)
    log_loss[3] += np.linspace(-0.2, 0.2, SEEDS)
    assert seed_noise(log_loss).error_P.argmax() == 3


def test_one_seed_gives_no_estimate():
    assert seed_noise(np.zeros((4, 1))) is None


def test_settings_may_lack_seeds():
    log_loss = loss_table([{0: 1.0, 1: 1.1}, {1: 1.3}, {0: 1.2, 2: 1.4}])
    assert log_loss.shape == (3, 3)
    assert np.isnan(log_loss).sum() == 4
    found = seed_noise(log_loss)
    assert found.between_seed_sd == pytest.approx(np.sqrt((2 * 0.05**2 + 2 * 0.1**2) / 2))
    assert (found.error_P > 0).all()
