"""What the rule loses: exact where the losses are a parabola."""

import numpy as np
import pytest

from bytegap.records import Plan, Quantity, TuningRun
from bytegap.runs import tuning
from bytegap.runs.tuning import judge, summary
from tests.runs.test_audit import run as a_run

EXPONENT = 0.2


def study(valley, *, bend=0.02, noise=0.0, arm="byte-ar", seed=0):
    """A plan of two budgets and the audit of the first: log BPB is a parabola about `valley`."""
    draw = np.random.default_rng(seed)
    spec = a_run(arm)[0].model_copy(update={"rows_per_batch": 512})
    larger = spec.model_copy(update={"budget_flops": 1e11})
    rule = bend * (valley[0] ** 2 + valley[1] ** 2)
    bpb = {spec.id: 2.0 * np.exp(rule), larger.id: 2.0 * np.exp(rule) * 10**-EXPONENT}
    varied = []
    powers = (-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3)
    places = [(power, 0) for power in powers] + [(0, power) for power in powers if power]
    for rate, batch in places:
        for replicate in range(3):
            own = spec.model_copy(
                update={"seed": replicate, "rows_per_batch": round(512 * 2.0**batch), "steps": round(100 + 2 * rate)}
            )
            own = spec if (rate, batch, replicate) == (0, 0, 0) else own
            rows = np.log2(own.rows_per_batch / spec.rows_per_batch)
            varied.append(TuningRun(rate=rate, batch=batch, spec=own))
            lost = bend * ((rate - valley[0]) ** 2 + (rows - valley[1]) ** 2)
            bpb[own.id] = 2.0 * np.exp(lost + noise * draw.standard_normal())
    return Plan(inputs="", study="s", workers=1, rounds=0, runs=[spec, larger], tuning=varied), bpb


def test_a_parabola_comes_back():
    plan, bpb = study((1.3, -0.4))
    (row,) = judge(plan, bpb)
    lost = 0.02 * (1.3**2 + 0.4**2)
    assert row.bracketed
    assert row.best_rate.value == pytest.approx(2**1.3)
    assert row.best_batch.value == pytest.approx(2**-0.4)
    assert row.lost_bpb.value == pytest.approx(2.0 * np.exp(lost) - 2.0)
    assert row.lost_compute.value == pytest.approx(1 - np.exp(-lost / EXPONENT))
    assert row.seed_log_bpb == pytest.approx(0.0)


def test_a_good_rule_loses_nothing():
    plan, bpb = study((0.0, 0.0))
    (row,) = judge(plan, bpb)
    assert row.lost_bpb.value == pytest.approx(0.0, abs=1e-12)


def test_a_cliff_is_not_taken_for_a_valley():
    """Beyond it seeds scatter, and count for little."""
    plan, bpb = study((0.0, 0.0), noise=0.002)
    for run in plan.tuning:
        if run.rate == 1:
            bpb[run.spec.id] *= (1.05, 1.2, 1.4)[run.spec.seed]
    (row,) = judge(plan, bpb)
    assert row.lost_bpb.value < 0.01, "weighted alike, places give more"


def losses(monkeypatch, valley, studies=60, noise=0.004):
    """Lost share of compute and its interval, of studies that differ in their noise."""
    monkeypatch.setattr(tuning, "DRAWS", 100)
    rows = [judge(*study(valley, noise=noise, seed=seed))[0].lost_compute for seed in range(studies)]
    return np.array([row.value for row in rows]), np.array([row.ci95 for row in rows])


@pytest.mark.parametrize("valley", [(0.5, 0.0), (1.0, -0.5)])
def test_intervals_hold_what_is_lost(monkeypatch, valley):
    found, ends = losses(monkeypatch, valley)
    truth = 1 - np.exp(-0.02 * (valley[0] ** 2 + valley[1] ** 2) / EXPONENT)
    assert ((ends[:, 0] <= found) & (found <= ends[:, 1])).all()
    assert 0.87 < np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) <= 1.0
    assert found.mean() == pytest.approx(truth, rel=0.1), "noise is taken off"


def test_noise_is_no_loss(monkeypatch):
    found, _ = losses(monkeypatch, (0.0, 0.0))
    assert found.mean() < 0.01


def test_what_a_seed_moves_everywhere_is_no_noise():
    plan, bpb = study((0.5, 0.0), noise=0.002)
    moved = {run.spec.id: bpb[run.spec.id] * (1.0, 1.05, 0.9)[run.spec.seed] for run in plan.tuning}
    before, after = judge(plan, bpb)[0], judge(plan, bpb | moved)[0]
    assert after.lost_compute.value == pytest.approx(before.lost_compute.value, rel=0.3)
    assert np.diff(after.lost_compute.ci95) == pytest.approx(np.diff(before.lost_compute.ci95), rel=0.3)
    assert after.seed_log_bpb > 10 * before.seed_log_bpb


def test_a_batch_is_the_rows_it_came_to():
    plan, bpb = study((0.0, 0.7))
    whole = [
        run.model_copy(update={"batch": run.batch + 0.4 * (run.batch > 0)}) for run in plan.tuning
    ]  # asked for otherwise
    assert judge(plan.model_copy(update={"tuning": whole}), bpb) == judge(plan, bpb)


def test_seeds_narrow_the_interval():
    plan, bpb = study((0.0, 0.0), noise=0.004)
    (three,) = judge(plan, bpb)
    one = plan.model_copy(update={"tuning": [run for run in plan.tuning if not run.spec.seed or not run.batch]})
    (fewer,) = judge(one, bpb)
    assert np.diff(three.lost_bpb.ci95) < np.diff(fewer.lost_bpb.ci95)


def test_a_place_of_which_a_seed_diverged_is_no_point():
    plan, bpb = study((1.0, 0.0))
    diverged = next(run.spec.id for run in plan.tuning if run.rate == 1)
    (row,) = judge(plan, {name: value for name, value in bpb.items() if name != diverged})
    assert 2.0 not in [factor for factor, _ in row.rates]
    assert not row.bracketed


def test_a_best_at_the_end_is_not_bracketed():
    plan, bpb = study((5.0, 0.0))
    (row,) = judge(plan, bpb)
    assert not row.bracketed
    assert "not bracketed" in summary([row])[0]


def test_arms_are_compared():
    rows = []
    for arm, valley in (("byte-ar", (2.0, 0.0)), ("bpe-ar", (0.1, 0.0))):
        plan, bpb = study(valley, arm=arm)
        rows += judge(plan, bpb)
    assert summary(rows)[-1].endswith("more than 3% apart")
    other = rows[1].model_copy(update={"arm": "other"})
    assert summary([rows[1], other])[-1].endswith("within 3%")
    noisy = other.model_copy(update={"lost_compute": Quantity(value=0.02, ci95=(0.0, 0.1))})
    assert summary([rows[1], noisy])[-1].endswith("whether within 3% cannot be told")


def test_an_arm_is_its_cells_averaged():
    plan, bpb = study((1.0, 0.0))
    (row,) = judge(plan, bpb)
    cells = [
        row.model_copy(update={"arm": arm, "lost_compute": Quantity(value=value, ci95=(value - 0.03, value + 0.03))})
        for arm, value in [("byte-ar", 0.3), ("byte-ar", 0.1), ("bpe-ar", 0.0), ("bpe-ar", 0.0)]
    ]
    assert "loses byte-ar 20% and bpe-ar 0% of its compute, 20% +- 3% apart" in summary(cells)[-1]
