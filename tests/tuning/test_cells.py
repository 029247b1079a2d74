"""Cells that a command names; for the tuning audit, without a budget, each arm's smallest and largest."""

import pytest

from bytegap.errors import CommandError
from bytegap.schema.plan import Plan
from bytegap.tuning.cells import NamedCells, budgets_by_arm, ends_by_arm
from tests.runs.test_audit import run

BUDGETS = {"byte-ar": (2e10, 1e11, 5e10), "bpe-ar": (5e9, 2e10), "byte-mdm": (3e11,)}


@pytest.fixture
def plan():
    runs = [
        run(arm)[0].model_copy(update={"budget_flops": budget, "seed": seed})
        for arm, budgets in BUDGETS.items()
        for budget in budgets
        for seed in (0, 1)
    ]
    return Plan(inputs_sha256="", study="s", workers=1, rounds=0, runs=tuple(runs))


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (NamedCells(), {"byte-ar": (2e10, 1e11), "bpe-ar": (5e9, 2e10), "byte-mdm": (3e11,)}),
        (NamedCells(arms=("bpe-ar",)), {"bpe-ar": (5e9, 2e10)}),
        (NamedCells(at=(5e10,)), {"byte-ar": (5e10,)}),
        (NamedCells(at=(0.1 + 2e10,)), {"byte-ar": (2e10,), "bpe-ar": (2e10,)}),
        (NamedCells(at=(2e10,), arms=("bpe-ar",)), {"bpe-ar": (2e10,)}),
    ],
)
def test_cells_are_those_that_are_named(plan, named, expected):
    assert ends_by_arm(plan, named) == expected


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (NamedCells(arms=("byte-arr",)), r"--arm byte-arr: .* study 's' has no such arm: did you mean 'byte-ar'\?"),
        (
            NamedCells(at=(5e10,), arms=("byte-ar", "bpe-ar")),
            r"--at 5e\+10: not a budget of bpe-ar: bpe-ar has 5e\+09, 2e\+10",
        ),
        (NamedCells(at=(7,)), "not a budget of byte-ar or bpe-ar or byte-mdm: byte-ar has .*; byte-mdm has 3e[+]11"),
    ],
)
def test_a_cell_that_the_plan_does_not_have_is_refused(plan, named, message):
    with pytest.raises(CommandError, match=message):
        budgets_by_arm(plan, named)


def test_without_a_budget_all_are_named(plan):
    assert budgets_by_arm(plan, NamedCells(arms=("byte-ar",))) == {"byte-ar": (2e10, 5e10, 1e11)}
    assert budgets_by_arm(plan, NamedCells()).keys() == BUDGETS.keys()


def test_of_several_budgets_an_arm_needs_one(plan):
    named = NamedCells(at=(2e10, 1e11), arms=("byte-ar", "bpe-ar"))
    assert budgets_by_arm(plan, named) == {"byte-ar": (2e10, 1e11), "bpe-ar": (2e10,)}
