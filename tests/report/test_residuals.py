"""Residuals against the closed form of the simulated cells."""

import math

import pytest

from bytegap.report.figures import residuals
from bytegap.report.inputs import read_inputs


def test_residuals_are_those_that_were_put_in(study, build, tmp_path):
    inputs = read_inputs(build(tmp_path / "out"), study.name, study.arms)
    for cell in inputs.cells:
        # conftest.py puts the runs 0.006 BPB above and below the curve in turn.
        expected = [math.log(bpb / (bpb - 0.006 * (-1) ** at)) for at, bpb in enumerate(cell.bpb)]
        # The curve has 25 points: interpolation is off by at most h^2 / 8 of its second derivative, 0.09 BPB.
        h = math.log(cell.curve[1][0] / cell.curve[0][0])
        assert residuals.residuals(cell) == pytest.approx(expected, abs=0.09 * h**2 / 8)
    figure = residuals.figure(inputs)
    assert [panel.title for panel in figure.chart.concat] == inputs.drawn_arms
    rows = figure.chart.concat[0].layer[-1].data.values
    assert {row["run"] for row in rows} == {run for cell in inputs.cells[:3] for run in cell.runs}


def test_a_run_beyond_the_curve_has_no_residual(study, build, tmp_path):
    cell = read_inputs(build(tmp_path / "out"), study.name, study.arms).cells[0]
    cut = cell.model_copy(update={"curve": cell.curve[:14]})
    assert [each is None for each in residuals.residuals(cut)] == [False, False, False, True, True]
    assert residuals.residuals(cell.model_copy(update={"curve": ()})) == [None] * 5
