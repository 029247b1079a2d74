"""What the shared rule costs an arm: exact where the losses are a parabola."""

import numpy as np
import pytest

from bytegap.schema.base import Quantity
from bytegap.schema.runs import TuningRunRow
from bytegap.tuning import analysis
from bytegap.tuning.analysis import analyse, summary
from tests.helpers.synthetic_runs import simulated_rows

EXPONENT = 0.2
OCTAVES = (-3, -2, -1, -0.5, 0.5, 1, 2, 3)
WEIGHT_DECAYS = (0, 0.3, 3, 7, 15)
SETTINGS = [(0, 0, 1), *((log2, 0, 1) for log2 in OCTAVES), *((0, log2, 1) for log2 in OCTAVES)]
SETTINGS += [(0, 0, factor) for factor in WEIGHT_DECAYS]
"""(log2 of learning rate, log2 of batch size, factor on weight decay), each relative to the rule's."""


def _row():
    like = simulated_rows(sizes=4)[0].model_dump()
    changes = {"weight_decay": 0.1, "log2_learning_rate": 0, "log2_batch_size": 0, "weight_decay_factor": 1}
    return TuningRunRow.model_validate(like | changes | {"batch_tokens": 512, "budget_flops": 1e10})


ROW = _row()


def study(minimum, *, curvature=0.02, noise=0.0, arm="byte-ar", seed=0):
    """(the audit's rows, the study's rows): log BPB is a parabola with its minimum at `minimum`, in octaves.

    The octaves of weight decay are log2((1 + factor) / 2).
    """
    draw = np.random.default_rng(seed)
    minimum = (*minimum, 0.0)[:3]
    tuned = []
    for rate, batch, weight_decay in SETTINGS:
        batch_tokens = round(512 * 2.0**batch)
        octaves = np.array((rate, np.log2(batch_tokens / 512), np.log2((1 + weight_decay) / 2)))
        lost = curvature * np.square(octaves - minimum).sum()
        for replicate in range(3):
            setting = {"log2_learning_rate": rate, "log2_batch_size": batch, "weight_decay_factor": weight_decay}
            bpb = float(2.0 * np.exp(lost + noise * draw.standard_normal()))
            outcome = {"arm": arm, "seed": replicate, "batch_tokens": batch_tokens, "validation_bpb": bpb}
            tuned.append(ROW.model_copy(update=setting | outcome))
    first = ROW.model_copy(update={"arm": arm, "validation_bpb": 2.0})
    larger = first.model_copy(update={"budget_flops": 1e11, "validation_bpb": 2.0 * 10**-EXPONENT})
    return tuned, [first, larger]


def changed(tuned, change):
    """The rows with their BPB changed: `change` maps a row to a factor."""
    return [row.model_copy(update={"validation_bpb": row.validation_bpb * change(row)}) for row in tuned]


def test_the_minimum_of_a_parabola_is_found():
    (row,) = analyse(*study((1.3, -0.4, 0.7)))
    lost = 0.02 * (1.3**2 + 0.4**2 + 0.7**2)
    assert row.bracketed
    assert row.best_weight_decay.value == pytest.approx(2 * 2**0.7 - 1)
    assert row.best_rate.value == pytest.approx(2**1.3)
    assert row.best_batch.value == pytest.approx(2**-0.4)
    assert row.lost_bpb.value == pytest.approx(2.0 * np.exp(lost) - 2.0)
    assert row.lost_compute.value == pytest.approx(1 - np.exp(-lost / EXPONENT))
    assert row.seed_log_bpb == pytest.approx(0.0)


def test_a_rule_at_the_minimum_loses_nothing():
    (row,) = analyse(*study((0.0, 0.0)))
    assert row.lost_bpb.value == pytest.approx(0.0, abs=1e-12)


def test_unstable_settings_have_little_weight():
    """Where training is unstable, seeds scatter, and the setting hardly moves the minimum."""
    tuned, runs = study((0.0, 0.0), noise=0.002)
    scattered = changed(tuned, lambda row: (1.05, 1.2, 1.4)[row.seed] if row.log2_learning_rate == 1 else 1)
    (row,) = analyse(scattered, runs)
    assert row.lost_bpb.value < 0.01, "with equal weights the loss is larger"


def losses(monkeypatch, minimum, studies=60, noise=0.004):
    """Shares of compute lost and their intervals, in studies that differ in their noise."""
    monkeypatch.setattr(analysis, "DRAWS", 100)
    rows = [analyse(*study(minimum, noise=noise, seed=seed))[0].lost_compute for seed in range(studies)]
    return np.array([row.value for row in rows]), np.array([row.ci95 for row in rows])


@pytest.mark.parametrize("minimum", [(0.5, 0.0), (1.0, -0.5), (0.3, 0.0, 0.8)])
def test_intervals_cover_the_true_loss(monkeypatch, minimum):
    found, ends = losses(monkeypatch, minimum)
    truth = 1 - np.exp(-0.02 * np.square(minimum).sum() / EXPONENT)
    assert ((ends[:, 0] <= found) & (found <= ends[:, 1])).all()
    assert 0.87 < np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) <= 1.0
    assert found.mean() == pytest.approx(truth, rel=0.1), "the bias of noise is subtracted"


def test_noise_alone_gives_no_loss(monkeypatch):
    found, _ = losses(monkeypatch, (0.0, 0.0))
    assert found.mean() < 0.01


def test_a_common_seed_effect_does_not_widen_intervals():
    tuned, runs = study((0.5, 0.0), noise=0.002)
    before, after = analyse(tuned, runs)[0], analyse(changed(tuned, lambda row: (1.0, 1.05, 0.9)[row.seed]), runs)[0]
    assert after.lost_compute.value == pytest.approx(before.lost_compute.value, rel=0.3)
    assert np.diff(after.lost_compute.ci95) == pytest.approx(np.diff(before.lost_compute.ci95), rel=0.3)
    assert after.seed_log_bpb > 10 * before.seed_log_bpb


def test_batch_sizes_are_taken_as_rounded():
    tuned, runs = study((0.0, 0.7))
    requested = [
        row.model_copy(update={"log2_batch_size": row.log2_batch_size + 0.4 * (row.log2_batch_size > 0)})
        for row in tuned
    ]
    assert analyse(requested, runs) == analyse(tuned, runs)


def test_more_seeds_narrow_the_interval():
    tuned, runs = study((0.0, 0.0), noise=0.004)
    (three,) = analyse(tuned, runs)
    (fewer,) = analyse([row for row in tuned if not row.seed or not row.log2_batch_size], runs)
    assert np.diff(three.lost_bpb.ci95) < np.diff(fewer.lost_bpb.ci95)


def test_a_setting_of_which_a_seed_diverged_is_left_out():
    tuned, runs = study((1.0, 0.0))
    diverged = next(row for row in tuned if row.log2_learning_rate == 1)
    failed = diverged.model_copy(update={"status": "failed", "validation_bpb": None})
    (row,) = analyse([failed if row is diverged else row for row in tuned], runs)
    assert 2.0 not in [factor for factor, _ in row.rates]
    assert not row.bracketed


def test_a_best_setting_at_the_end_of_its_axis_is_not_bracketed():
    (row,) = analyse(*study((5.0, 0.0)))
    assert not row.bracketed
    assert "not bracketed" in summary([row])[0]


@pytest.mark.parametrize("octaves", [-1.5, -1.0])
def test_a_minimum_at_no_weight_decay_is_bracketed(octaves):
    """Weight decay cannot be below 0, so a minimum at 0, or at what would be a negative one, is at 0."""
    (row,) = analyse(*study((0.0, 0.0, octaves)))
    assert row.best_weight_decay.value == pytest.approx(0.0, abs=1e-12)
    assert row.bracketed
    lost = 0.02 * (octaves**2 - (octaves + 1) ** 2)  # from the rule at 0 octaves to none at -1
    assert row.lost_bpb.value == pytest.approx(2.0 * np.exp(0.02 * octaves**2) * -np.expm1(-lost))


def test_audits_of_earlier_versions_have_no_weight_decay():
    tuned, runs = study((0.5, 0.0))
    (row,) = analyse([row for row in tuned if row.weight_decay_factor == 1], runs)
    assert (row.weight_decays, row.best_weight_decay.value, row.bracketed) == ((), None, True)
    assert "weight decay" not in summary([row])[0]


def test_settings_are_compared_by_the_seeds_that_they_share():
    """A setting that lacks the worst seed is not the better for it."""
    tuned, runs = study((0.5, 0.0))
    shifted = changed(tuned, lambda row: (1.0, 1.0, 1.3)[row.seed])
    lacking = [row for row in shifted if not (row.log2_learning_rate == -0.5 and row.seed == 2)]
    (complete,), (row,) = analyse(shifted, runs), analyse(lacking, runs)
    assert row.best_rate.value == pytest.approx(complete.best_rate.value)
    assert [bpb for _, bpb in row.rates] == pytest.approx([bpb for _, bpb in complete.rates])


def test_each_size_that_was_audited_is_a_cell():
    tuned, runs = study((0.5, 0.0))
    smaller = [row.model_copy(update={"non_embedding_parameters": 9}) for row in study((-0.5, 0.0))[0]]
    first, second = analyse([*tuned, *smaller], runs)
    assert (first.non_embedding_parameters, second.non_embedding_parameters) == (ROW.non_embedding_parameters, 9)
    assert first.best_rate.value == pytest.approx(1 / second.best_rate.value)


def test_without_the_studys_own_runs_the_share_of_compute_is_unknown():
    tuned, runs = study((0.5, 0.0))
    for known in ([], runs[:1]):
        (row,) = analyse(tuned, known)
        assert row.lost_compute.value is None
        assert row.lost_bpb.value > 0


def test_arms_are_compared():
    rows = []
    for arm, minimum in (("byte-ar", (2.0, 0.0)), ("bpe-ar", (0.1, 0.0))):
        rows += analyse(*study(minimum, arm=arm))
    assert summary(rows)[-1].endswith("more than 3% apart")
    other = rows[1].model_copy(update={"arm": "other"})
    assert summary([rows[1], other])[-1].endswith("within 3%")
    noisy = other.model_copy(update={"lost_compute": Quantity(value=0.02, ci95=(0.0, 0.1))})
    assert summary([rows[1], noisy])[-1].endswith("whether within 3% cannot be decided")


def test_an_arms_cells_are_averaged():
    (row,) = analyse(*study((1.0, 0.0)))
    cells = [
        row.model_copy(update={"arm": arm, "lost_compute": Quantity(value=value, ci95=(value - 0.03, value + 0.03))})
        for arm, value in [("byte-ar", 0.3), ("byte-ar", 0.1), ("bpe-ar", 0.0), ("bpe-ar", 0.0)]
    ]
    assert "costs byte-ar 20% and bpe-ar 0% of its compute, 20% +- 3% apart" in summary(cells)[-1]
