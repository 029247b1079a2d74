"""The figure and the table of losses at equal compute, against the differences in the fit."""

import csv
import io
from dataclasses import replace

import pytest

from bytegap.report import html_page
from bytegap.report.figures import equal_compute
from bytegap.report.inputs import Inputs, read_inputs
from bytegap.report.stage import all_figures, all_tables
from bytegap.report.tables import fit as fit_tables
from bytegap.schema.fit import LossDifference
from tests.report.records import quantity

ARMS = ("bpe-ar", "byte-ar", "bpe-mdm")


def differences(arms: tuple[str, ...] = ARMS) -> tuple[LossDifference, ...]:
    """Two budgets of each arm; at the larger one -0.1, -0.2, ... BPB."""
    return tuple(
        LossDifference(
            arms=(arm, "byte-mdm"),
            budget_flops=budget,
            difference_bpb=quantity(value, 0.0312345),
            bracketed=arm != "bpe-mdm",
        )
        for rank, arm in enumerate(arms)
        for budget, value in ((1e13, 0.4), (1e14, -0.1 - 0.1 * rank))
    )


@pytest.fixture(name="inputs")
def _inputs(study, build, tmp_path) -> Inputs:
    found = read_inputs(build(tmp_path / "out"), study.name, study.arms)
    return replace(found, fit=found.fit.model_copy(update={"loss_differences": differences()}))


def test_the_figure_has_each_arm_at_its_largest_budget(inputs: Inputs) -> None:
    found = equal_compute.figure(inputs)
    drawn = {row["arm"]: row["difference"] for row in found.chart.layer[-1].data.values}
    assert drawn == pytest.approx({"bpe-ar": -0.1, "byte-ar": -0.2, "bpe-mdm": -0.3})
    ends = {row["arm"]: (row["low"], row["high"]) for row in found.chart.layer[1].data.values}
    assert ends["byte-ar"] == pytest.approx((-0.2312345, -0.1687655))
    zero = found.chart.layer[0].data.values
    assert zero == [{"difference": 0.0}]


def test_fewer_than_three_arms_are_a_table_only(inputs: Inputs) -> None:
    fit = inputs.fit.model_copy(update={"loss_differences": differences(ARMS[:2])})
    fewer = replace(inputs, fit=fit)
    assert equal_compute.figure(fewer) is None
    assert len(fit_tables.loss_differences(fewer).rows) == 4
    none = replace(inputs, fit=inputs.fit.model_copy(update={"loss_differences": ()}))
    assert fit_tables.loss_differences(none) is None


def test_the_table_agrees_with_the_fit(inputs: Inputs) -> None:
    rows = list(csv.DictReader(io.StringIO(fit_tables.loss_differences(inputs).csv())))
    assert len(rows) == 6
    for row, found in zip(rows, inputs.fit.loss_differences, strict=True):
        cell = next(
            cell for cell in inputs.fit.cells if (cell.arm, cell.budget_flops) == (found.arms[0], found.budget_flops)
        )
        assert (row["arm"], row["reference"]) == found.arms
        assert float(row["budget_flops"]) == found.budget_flops
        assert float(row["bpb"]) == cell.optimum_bpb.value
        assert float(row["difference_bpb"]) == found.difference_bpb.value
        assert float(row["difference_bpb_low"]) == found.difference_bpb.ci95[0]
        assert row["bracketed"] == str(found.bracketed)


def test_the_page_has_both(inputs: Inputs) -> None:
    page = html_page.render(inputs, all_figures(inputs), all_tables(inputs))
    assert 'id="equal_compute"' in page
    assert 'id="table-loss_differences"' in page
