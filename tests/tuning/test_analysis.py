"""What the shared rule costs an arm: exact where the losses are a parabola."""

import numpy as np
import pytest

from bytegap.schema.base import Quantity
from bytegap.schema.plan import Plan, TuningRun
from bytegap.tuning import analysis
from bytegap.tuning.analysis import analyse, summary
from tests.runs.test_audit import run as a_run

EXPONENT = 0.2


def study(minimum, *, curvature=0.02, noise=0.0, arm="byte-ar", seed=0):
    """A plan of two budgets and the audit of the first: log BPB is a parabola with its minimum at `minimum`."""
    draw = np.random.default_rng(seed)
    spec = a_run(arm)[0].model_copy(update={"batch_size": 512})
    larger = spec.model_copy(update={"budget_flops": 1e11})
    rule = curvature * (minimum[0] ** 2 + minimum[1] ** 2)
    bpb = {spec.id: 2.0 * np.exp(rule), larger.id: 2.0 * np.exp(rule) * 10**-EXPONENT}
    varied = []
    octaves = (-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3)
    settings = [(log2, 0) for log2 in octaves] + [(0, log2) for log2 in octaves if log2]
    for rate, batch in settings:
        for replicate in range(3):
            own = spec.model_copy(
                update={"seed": replicate, "batch_size": round(512 * 2.0**batch), "steps": round(100 + 2 * rate)}
            )
            own = spec if (rate, batch, replicate) == (0, 0, 0) else own
            rounded = np.log2(own.batch_size / spec.batch_size)
            varied.append(TuningRun(rate=rate, batch=batch, spec=own))
            lost = curvature * ((rate - minimum[0]) ** 2 + (rounded - minimum[1]) ** 2)
            bpb[own.id] = 2.0 * np.exp(lost + noise * draw.standard_normal())
    return Plan(inputs_sha256="", study="s", workers=1, rounds=0, runs=(spec, larger), tuning=tuple(varied)), bpb


def test_the_minimum_of_a_parabola_is_found():
    plan, bpb = study((1.3, -0.4))
    (row,) = analyse(plan, bpb)
    lost = 0.02 * (1.3**2 + 0.4**2)
    assert row.bracketed
    assert row.best_rate.value == pytest.approx(2**1.3)
    assert row.best_batch.value == pytest.approx(2**-0.4)
    assert row.lost_bpb.value == pytest.approx(2.0 * np.exp(lost) - 2.0)
    assert row.lost_compute.value == pytest.approx(1 - np.exp(-lost / EXPONENT))
    assert row.seed_log_bpb == pytest.approx(0.0)


def test_a_rule_at_the_minimum_loses_nothing():
    plan, bpb = study((0.0, 0.0))
    (row,) = analyse(plan, bpb)
    assert row.lost_bpb.value == pytest.approx(0.0, abs=1e-12)


def test_unstable_settings_have_little_weight():
    """Where training is unstable, seeds scatter, and the setting hardly moves the minimum."""
    plan, bpb = study((0.0, 0.0), noise=0.002)
    for run in plan.tuning:
        if run.rate == 1:
            bpb[run.spec.id] *= (1.05, 1.2, 1.4)[run.spec.seed]
    (row,) = analyse(plan, bpb)
    assert row.lost_bpb.value < 0.01, "with equal weights the loss is larger"


def losses(monkeypatch, minimum, studies=60, noise=0.004):
    """Shares of compute lost and their intervals, in studies that differ in their noise."""
    monkeypatch.setattr(analysis, "DRAWS", 100)
    rows = [analyse(*study(minimum, noise=noise, seed=seed))[0].lost_compute for seed in range(studies)]
    return np.array([row.value for row in rows]), np.array([row.ci95 for row in rows])


@pytest.mark.parametrize("minimum", [(0.5, 0.0), (1.0, -0.5)])
def test_intervals_cover_the_true_loss(monkeypatch, minimum):
    found, ends = losses(monkeypatch, minimum)
    truth = 1 - np.exp(-0.02 * (minimum[0] ** 2 + minimum[1] ** 2) / EXPONENT)
    assert ((ends[:, 0] <= found) & (found <= ends[:, 1])).all()
    assert 0.87 < np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) <= 1.0
    assert found.mean() == pytest.approx(truth, rel=0.1), "the bias of noise is subtracted"


def test_noise_alone_gives_no_loss(monkeypatch):
    found, _ = losses(monkeypatch, (0.0, 0.0))
    assert found.mean() < 0.01


def test_a_common_seed_effect_does_not_widen_intervals():
    plan, bpb = study((0.5, 0.0), noise=0.002)
    shifted = {run.spec.id: bpb[run.spec.id] * (1.0, 1.05, 0.9)[run.spec.seed] for run in plan.tuning}
    before, after = analyse(plan, bpb)[0], analyse(plan, bpb | shifted)[0]
    assert after.lost_compute.value == pytest.approx(before.lost_compute.value, rel=0.3)
    assert np.diff(after.lost_compute.ci95) == pytest.approx(np.diff(before.lost_compute.ci95), rel=0.3)
    assert after.seed_log_bpb > 10 * before.seed_log_bpb


def test_batch_sizes_are_taken_as_rounded():
    plan, bpb = study((0.0, 0.7))
    requested = [run.model_copy(update={"batch": run.batch + 0.4 * (run.batch > 0)}) for run in plan.tuning]
    assert analyse(plan.model_copy(update={"tuning": requested}), bpb) == analyse(plan, bpb)


def test_more_seeds_narrow_the_interval():
    plan, bpb = study((0.0, 0.0), noise=0.004)
    (three,) = analyse(plan, bpb)
    one = plan.model_copy(update={"tuning": [run for run in plan.tuning if not run.spec.seed or not run.batch]})
    (fewer,) = analyse(one, bpb)
    assert np.diff(three.lost_bpb.ci95) < np.diff(fewer.lost_bpb.ci95)


def test_a_setting_of_which_a_seed_diverged_is_left_out():
    plan, bpb = study((1.0, 0.0))
    diverged = next(run.spec.id for run in plan.tuning if run.rate == 1)
    (row,) = analyse(plan, {name: value for name, value in bpb.items() if name != diverged})
    assert 2.0 not in [factor for factor, _ in row.rates]
    assert not row.bracketed


def test_a_best_setting_at_the_end_of_its_axis_is_not_bracketed():
    plan, bpb = study((5.0, 0.0))
    (row,) = analyse(plan, bpb)
    assert not row.bracketed
    assert "not bracketed" in summary([row])[0]


def test_arms_are_compared():
    rows = []
    for arm, minimum in (("byte-ar", (2.0, 0.0)), ("bpe-ar", (0.1, 0.0))):
        plan, bpb = study(minimum, arm=arm)
        rows += analyse(plan, bpb)
    assert summary(rows)[-1].endswith("more than 3% apart")
    other = rows[1].model_copy(update={"arm": "other"})
    assert summary([rows[1], other])[-1].endswith("within 3%")
    noisy = other.model_copy(update={"lost_compute": Quantity(value=0.02, ci95=(0.0, 0.1))})
    assert summary([rows[1], noisy])[-1].endswith("whether within 3% cannot be decided")


def test_an_arms_cells_are_averaged():
    plan, bpb = study((1.0, 0.0))
    (row,) = analyse(plan, bpb)
    cells = [
        row.model_copy(update={"arm": arm, "lost_compute": Quantity(value=value, ci95=(value - 0.03, value + 0.03))})
        for arm, value in [("byte-ar", 0.3), ("byte-ar", 0.1), ("bpe-ar", 0.0), ("bpe-ar", 0.0)]
    ]
    assert "costs byte-ar 20% and bpe-ar 0% of its compute, 20% +- 3% apart" in summary(cells)[-1]
