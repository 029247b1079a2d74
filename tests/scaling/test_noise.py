"""Noise of runs: its sources are recovered, Bartlett's test matches scipy, documents follow Student's t."""

import numpy as np
import pytest
from scipy.stats import bartlett as scipy_bartlett
from scipy.stats import chi2, kstest, t

from bytegap.scaling.chi_square import bartlett, chi_square_survival
from bytegap.scaling.curves import IsoflopCurves
from bytegap.scaling.documents import document_shifts, without_run_noise
from bytegap.scaling.noise import Noise, Residuals, pooled_noise

SIZES, SEEDS, CELLS = 5, 3, 6
CELL = np.repeat(np.arange(CELLS), SIZES * SEEDS)
SIZE = np.tile(np.repeat(np.linspace(-1.4, 1.4, SIZES), SEEDS), CELLS)
PAIR = CELL * SEEDS + np.tile(np.arange(SEEDS), SIZES * CELLS)


def residuals(
    run_sd: float, seed_sd: float, seed: int, *, own_seeds: bool = False, one_seed: bool = False
) -> Residuals:
    rng = np.random.default_rng(seed)
    shift = seed_sd * rng.standard_normal(CELLS * SEEDS)
    ln_loss = 0.03 * SIZE**2 + run_sd * rng.standard_normal(len(CELL)) + shift[PAIR]
    pairs = np.arange(len(CELL)) if own_seeds else CELL if one_seed else PAIR
    return Residuals.of(IsoflopCurves(CELL, SIZE, ln_loss, np.eye(CELLS), skewed=False), pairs, np.zeros(len(CELL)))


def noise(found: list[Residuals], groups: list[tuple[str, str]], draws: int = 400) -> dict[tuple[str, str], Noise]:
    return pooled_noise(found, groups, draws, np.random.default_rng(0))


@pytest.mark.parametrize("dof", range(1, 9))
def test_chi_square_survival_matches_scipy(dof: int) -> None:
    for chi_square in (0.1, 1.0, 5.0, 20.0, 80.0):
        assert chi_square_survival(chi_square, dof) == pytest.approx(chi2.sf(chi_square, dof), rel=1e-9)


def test_bartlett_matches_scipy() -> None:
    rng = np.random.default_rng(0)
    samples = [scale * rng.standard_normal(size) for scale, size in ((1.0, 9), (1.6, 20), (0.8, 14))]
    p_value = bartlett([float(np.var(each, ddof=1)) for each in samples], [len(each) - 1 for each in samples])
    assert p_value == pytest.approx(scipy_bartlett(*samples).pvalue)
    assert bartlett([0.0, 0.0], [3, 3]) == 1.0
    assert bartlett([0.0, 1.0], [3, 3]) == 0.0


def test_analysis_of_variance_recovers_the_seed_effect() -> None:
    levels = [noise([residuals(0.005, 0.003, seed)], [("ar", "identity")])["ar", "identity"] for seed in range(100)]
    assert {level.seed_effect_source for level in levels} == {"estimated"}
    assert np.mean([level.residual_sd**2 for level in levels]) ** 0.5 == pytest.approx(0.005, rel=0.03)
    assert np.mean([level.seed_effect_sd**2 for level in levels]) ** 0.5 == pytest.approx(0.003, rel=0.1)
    assert levels[0].dof == CELLS * SIZES * SEEDS - 3 * CELLS - CELLS * (SEEDS - 1)


def test_seed_effect_is_none_with_seeds_of_their_own_and_assumed_with_one_seed_a_cell() -> None:
    own = noise([residuals(0.005, 0.0, 0, own_seeds=True)], [("ar", "identity")])["ar", "identity"]
    assert (own.seed_effect_source, own.seed_effect_sd) == ("none", 0.0)
    one = noise([residuals(0.005, 0.0, 0, one_seed=True)], [("ar", "identity")])["ar", "identity"]
    assert one.seed_effect_source == "assumed"
    assert one.seed_effect_sd == pytest.approx(0.6 * one.residual_sd)


def test_draws_have_the_variance_of_their_sources_and_pairs_move_together() -> None:
    level = noise([residuals(0.005, 0.01, 1)], [("ar", "identity")], draws=4000)["ar", "identity"]
    evaluation = np.where(CELL == 0, 0.02, 0.0)
    drawn = level.draw(PAIR, evaluation, np.full(len(CELL), 8), np.random.default_rng(1))
    shared = np.mean(drawn[:, PAIR == 5][:, 0] * drawn[:, PAIR == 5][:, 1])
    assert shared == pytest.approx(np.mean(level.seed_effect_B**2), rel=0.15)
    assert drawn[:, CELL == 2].var() == pytest.approx(0.005**2 + np.mean(level.seed_effect_B**2), rel=0.2)
    extra = drawn[:, CELL == 0].var() - drawn[:, CELL == 2].var()
    assert extra == pytest.approx(7 / 5 * 0.02**2, rel=0.15)  # the variance of Student's t with 7 degrees of freedom


def test_permutations_are_pooled_only_where_their_noise_agrees() -> None:
    groups = [("ar", "identity"), ("ar", "within_window")]
    alike = noise([residuals(0.005, 0.0, seed, own_seeds=True) for seed in (1, 2)], groups)
    assert alike[groups[0]] is alike[groups[1]]
    assert alike[groups[0]].groups == ("identity", "within_window")
    pair = [residuals(sd, 0.0, 1, own_seeds=True) for sd in (0.004, 0.015)]
    differ = noise(pair, groups)
    assert differ[groups[0]].residual_sd < 0.006
    assert differ[groups[1]].residual_sd > 0.01


def test_equal_noise_is_pooled_in_19_studies_of_20() -> None:
    groups = [("ar", "identity"), ("ar", "fixed")]
    apart = 0
    for seed in range(200):
        found = [residuals(0.005, 0.0, 2 * seed + each, own_seeds=True) for each in (0, 1)]
        apart += len(set(map(id, noise(found, groups, draws=2).values()))) == 2
    assert 2 <= apart <= 20


def test_document_shifts_follow_students_t() -> None:
    rng = np.random.default_rng(3)
    nats = np.exp(0.1 * rng.standard_normal((2, 12)))
    shift_BR = document_shifts(nats, np.ones(12), 20000, rng)
    error = nats.std(axis=1, ddof=1) / nats.mean(axis=1) / 12**0.5
    for run in range(2):
        scaled = shift_BR[:, run] / error[run]
        assert np.quantile(scaled, [0.025, 0.975]) == pytest.approx(t(11).ppf([0.025, 0.975]), rel=0.12)
    assert kstest(shift_BR[:, 0] / error[0], t(11).cdf).statistic < 0.05


def test_what_all_runs_share_of_documents_cancels_between_them() -> None:
    rng = np.random.default_rng(4)
    hard = np.exp(0.3 * rng.standard_normal(20))
    shift_BR = document_shifts(np.stack([2.0 * hard, 3.0 * hard]), np.full(20, 100.0), 50, rng)
    assert shift_BR[:, 0] == pytest.approx(shift_BR[:, 1])
    assert shift_BR[:, 0].std() > 0.02


def scored_documents(noise_bpb: float) -> tuple[np.ndarray, np.ndarray]:
    """(nats, (R, H), parameters, (R,)) of 24 runs; documents differ in level and in what they make of loss and size."""
    rng = np.random.default_rng(5)
    ln_size_R, ln_flops_R = np.tile(np.repeat(np.arange(4), 2), 3) * np.log(2), np.repeat(np.arange(3), 8) * 0.5
    loss_R = 3.0 - 0.1 * ln_flops_R + 0.1 * (ln_size_R - 1 - 0.5 * ln_flops_R) ** 2
    level_H, of_loss_H, of_size_H = rng.normal([[3.0], [1.0], [0.0]], [[0.4], [0.3], [0.05]], (3, 30))
    bpb_RH = level_H + np.outer(loss_R - 3.0, of_loss_H) + np.outer(ln_size_R, of_size_H)
    return 1000.0 * (bpb_RH + noise_bpb * rng.standard_normal(bpb_RH.shape)), 1000.0 * np.exp(ln_size_R)


def test_what_documents_make_of_loss_and_size_is_kept() -> None:
    nats_RH, parameters_R = scored_documents(0.0)
    assert without_run_noise(nats_RH, parameters_R) == pytest.approx(nats_RH)


def test_noise_of_runs_is_no_difference_between_documents() -> None:
    """In the difference of two seeds of one size nothing is left but what a loss on all documents explains."""
    nats_RH, parameters_R = scored_documents(0.15)
    kept_RH = without_run_noise(nats_RH, parameters_R)
    assert kept_RH.sum(axis=1) == pytest.approx(nats_RH.sum(axis=1))
    sd = []
    for each in (nats_RH, kept_RH, scored_documents(0.0)[0]):
        shift_BR = document_shifts(each, np.full(30, 1000.0), 2000, np.random.default_rng(6))
        sd.append((np.std(shift_BR[:, ::2] - shift_BR[:, 1::2]), np.std(shift_BR)))
    (noisy, noisy_level), (kept, kept_level), (_, level) = sd
    assert kept < 0.2 * noisy
    assert noisy_level == pytest.approx(level, rel=0.1)
    assert kept_level == pytest.approx(level, rel=0.1)
