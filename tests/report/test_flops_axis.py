"""Ticks of the FLOPs axis: every long tick is named, and names are few enough to fit."""

from types import SimpleNamespace

import pytest

from bytegap.report.figures.base import flops_axis, named_flops


@pytest.mark.parametrize(
    ("budgets", "named"),
    [
        ([2e9, 4.5e9, 1e10, 1.1e10, 9.5e10, 1.05e12], [1e10, 1e11, 1e12]),
        ([1e13, 3e13, 1e14], [1e13, 1e14]),
        ([9.99e12, 1.01e15], [1e13, 1e14, 1e15]),
        ([2e13, 3e13, 8e13], [2e13, 8e13]),
        ([8e12, 2e13, 3e13], [8e12, 3e13]),
        ([5e18], [5e18]),
        ([], []),
    ],
)
def test_powers_of_ten_are_named_or_else_the_ends(budgets, named):
    assert named_flops(budgets) == named


def study_of(budgets):
    return SimpleNamespace(cells=[SimpleNamespace(budget_flops=each) for each in budgets])


def test_the_axis_is_of_the_budgets_that_are_drawn():
    # Runs spend a little more or less than their budget.
    axis = flops_axis(study_of([2e9, 4.5e9, 1e10, 3.3e11]), [4.5003e9, 9.9999e9]).to_dict()
    assert axis["values"] == [4.5e9, 1e10]
    assert "[4500000000.0, 10000000000.0]" in axis["labelExpr"]


def test_unnamed_ticks_are_budgets_and_short():
    vl_convert = pytest.importorskip("vl_convert")
    budgets = [2e9, 1e10, 1.1e10, 3.3e11]
    axis = flops_axis(study_of(budgets), budgets).to_dict()
    assert axis["values"] == [2e9, 1e10, 1.1e10, 1e11, 3.3e11]
    scale = {"type": "log", "domain": [1e9, 1e12], "nice": False}
    x = {"field": "C", "type": "quantitative", "axis": axis, "scale": scale}
    spec = {"data": {"values": [{"C": 1e10}]}, "mark": "point", "width": 300, "encoding": {"x": x}}
    svg = vl_convert.vegalite_to_svg(spec)
    assert [text in svg for text in (">1e10<", ">1e11<", ">2e9<", ">1.1e10<", ">3.3e11<")] == [True] * 2 + [False] * 3
    assert (svg.count('y2="5"'), svg.count('y2="2"')) == (2, 3)
