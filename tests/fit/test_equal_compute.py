"""Loss at equal compute: which arms are compared, against the laws' own losses, with documents in pairs."""

import math

import numpy as np
import pytest

from bytegap.fit.cells import fit_cells
from bytegap.fit.equal_compute import loss_differences
from bytegap.fit.frontiers import arms_of
from bytegap.fit.stage import fit_rows
from bytegap.schema.base import FrozenDict
from bytegap.schema.fit import LossDifference
from bytegap.schema.runs import RunRow
from bytegap.study.config import Fit as FitOptions
from tests.helpers.synthetic_runs import LAWS, simulated_rows

FLOPS = 2e14
ARMS = ("byte-ar", "byte-mdm", "bpe512-mdm")


def made(rows: list[RunRow], draws: int = 400) -> list[LossDifference]:
    cells = fit_cells(rows, draws, np.random.default_rng(0)).cells
    return list(loss_differences(arms_of(rows, cells), cells))


def rows_at(*, noise: float = 0.0, seed: int = 0) -> list[RunRow]:
    return simulated_rows({arm: LAWS[arm] for arm in ARMS}, dict.fromkeys(ARMS, (FLOPS,)), noise=noise, seed=seed)


def as_arm(rows: list[RunRow], arm: str, **changes: object) -> list[RunRow]:
    """A copy of these rows, as runs of another arm."""
    return [
        row.model_copy(update={"arm": arm, "run": f"{number:06x}{arm.encode().hex()[-6:]}", **changes})
        for number, row in enumerate(rows)
    ]


def of(rows: list[RunRow], arm: str) -> list[RunRow]:
    return [row for row in rows if row.arm == arm]


def test_the_difference_is_that_of_the_laws() -> None:
    (found,) = made(rows_at())
    assert found.arms == ("byte-ar", "byte-mdm")
    assert (found.budget_flops, found.bracketed) == (FLOPS, True)
    truth = LAWS["byte-ar"].bpb(FLOPS) - LAWS["byte-mdm"].bpb(FLOPS)
    assert found.difference_bpb.value == pytest.approx(truth, abs=0.01)


def test_intervals_cover_the_truth() -> None:
    truth = made(rows_at())[0].difference_bpb.value
    intervals = [made(rows_at(noise=0.01, seed=seed), 200)[0].difference_bpb.ci95 for seed in range(60)]
    assert sum(low <= truth <= high for low, high in intervals) >= 54


def test_options_and_other_objectives_are_compared_and_other_texts_are_not() -> None:
    rows = rows_at(noise=0.01)
    mdm = of(rows, "byte-mdm")
    rows += as_arm(mdm, "bell", objective_options=FrozenDict({"schedule": "bell"}))
    rows += as_arm(mdm, "convolution", model_options=FrozenDict({"convolution": 4}))
    rows += as_arm(mdm, "other budget", budget_flops=2 * FLOPS)
    rows += as_arm(of(rows, "byte-ar"), "permuted", permutation="fixed")
    assert [found.arms for found in made(rows)] == [
        ("bell", "byte-mdm"),
        ("byte-ar", "byte-mdm"),
        ("convolution", "byte-mdm"),
    ]


def test_an_arm_is_compared_with_masked_diffusion_of_its_own_model_if_there_is_one() -> None:
    rows, convolved = rows_at(noise=0.01), {"model_options": FrozenDict({"convolution": 4})}
    rows += as_arm(of(rows, "byte-ar"), "ar-convolved", **convolved)
    assert ("ar-convolved", "byte-mdm") in [found.arms for found in made(rows)]
    rows += as_arm(of(rows, "byte-mdm"), "mdm-convolved", **convolved)
    assert [found.arms for found in made(rows)] == [
        ("ar-convolved", "mdm-convolved"),
        ("byte-ar", "byte-mdm"),
        ("mdm-convolved", "byte-mdm"),
    ]


def test_pairs_that_a_study_names_are_compared_too() -> None:
    rows = rows_at(noise=0.01)
    cells = fit_cells(rows, 100, np.random.default_rng(0)).cells
    found = loss_differences(arms_of(rows, cells), cells, [("byte-mdm", "bpe512-mdm"), ("byte-ar", "byte-mdm")])
    assert [each.arms for each in found] == [("byte-ar", "byte-mdm"), ("byte-mdm", "bpe512-mdm")]
    losses = FitOptions(losses=(("bpe512-mdm", "byte-mdm"),))
    fit = fit_rows(rows, bootstraps=50, options=losses)
    assert [each.arms for each in fit.loss_differences] == [("bpe512-mdm", "byte-mdm"), ("byte-ar", "byte-mdm")]


def test_a_pair_without_a_common_budget_is_said() -> None:
    rows = simulated_rows({arm: LAWS[arm] for arm in ARMS[:2]}, {"byte-ar": (FLOPS,), "byte-mdm": (2 * FLOPS,)})
    fit = fit_rows(rows, bootstraps=20, options=FitOptions(losses=(("byte-ar", "byte-mdm"),)))
    assert not fit.loss_differences
    (said,) = [warning for warning in fit.warnings if "[fit] losses" in warning]
    assert "byte-ar and byte-mdm are not compared: they have no common budget" in said


def test_what_documents_have_in_common_cancels() -> None:
    """Two equal arms on documents of which one half is twice as hard: their difference is known, neither loss is."""
    rows = as_arm(of(rows_at(), "byte-mdm"), "byte-mdm")
    hard = np.tile([2 / 3, 4 / 3], len(rows[0].document_bytes) // 2)
    uneven = [row.model_copy(update={"document_nats": tuple((hard * row.document_nats).tolist())}) for row in rows]
    uneven += as_arm(uneven, "other", objective="any_order")
    cells = fit_cells(uneven, 400, np.random.default_rng(0)).cells
    (found,) = loss_differences(arms_of(uneven, cells), cells)
    low, high = found.difference_bpb.ci95
    loss_low, loss_high = cells[0].cell.optimum_bpb.ci95
    assert loss_high - loss_low > 0.5
    assert high - low < 0.02


def test_a_bound_of_the_grid_is_named() -> None:
    rows = simulated_rows(
        {arm: LAWS[arm] for arm in ARMS[:2]}, dict.fromkeys(ARMS[:2], (FLOPS,)), noise=0.002, off_centre=20.0
    )
    assert [found.bracketed for found in made(rows)] == [False]


def test_it_is_part_of_a_fit() -> None:
    fit = fit_rows(rows_at(noise=0.01), bootstraps=50)
    assert [found.arms for found in fit.loss_differences] == [("byte-ar", "byte-mdm")]
    assert math.isfinite(fit.loss_differences[0].difference_bpb.value)
