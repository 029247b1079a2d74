"""Axes follow what was observed, names of lines are moved apart, and extrapolations are cut off with an arrow."""

import itertools
from dataclasses import replace

import pytest

from bytegap.report.figures import estimands
from bytegap.report.figures.frame import Frame
from bytegap.report.figures.labels import spread
from bytegap.report.inputs import read_inputs
from bytegap.schema.base import Quantity


@pytest.fixture(scope="module")
def inputs(study, build, tmp_path_factory):
    return read_inputs(build(tmp_path_factory.mktemp("frame") / "out"), study.name, study.arms)


def test_a_frame_holds_its_values_and_cuts_intervals():
    frame = Frame.around([1.0, 10.0], log=True)
    assert frame.contains(1.0)
    assert frame.contains(10.0)
    assert not frame.contains(20.0)
    assert frame.low * frame.high == pytest.approx(10)  # equal margins on a log axis
    assert frame.part((2.0, 3.0)) == (2.0, 3.0)
    assert frame.part((2.0, 1e9)) == (2.0, frame.high)
    assert frame.part((1e8, 1e9)) is None
    assert frame.part(None) is None
    assert frame.beyond(2.0, (0.01, 3.0)) == (True, False)
    assert frame.beyond(1e8, None) == (False, True)
    assert Frame.around([0.0]).low < 0 < Frame.around([0.0]).high


def test_names_are_moved_apart_as_little_as_possible():
    assert spread([50.0, 10.0], 100, gap=13) == [50.0, 10.0]
    assert spread([50.0, 50.0], 100, gap=12) == [44.0, 56.0]
    assert spread([0.0, 1.0, 100.0], 100, gap=10) == [0.0, 10.0, 100.0]
    crowded = spread([90.0, 95.0, 99.0, 60.0, 71.0], 100, gap=13)
    assert max(crowded) <= 100
    assert min(b - a for a, b in itertools.pairwise(sorted(crowded))) >= 13 - 1e-9
    assert sorted(range(5), key=crowded.__getitem__) == [3, 4, 0, 1, 2]


def test_an_extrapolation_does_not_stretch_the_axis_and_is_marked(inputs):
    def drawn(changed):
        chart = estimands.figure(changed, "interaction").chart
        spec = chart.to_dict()
        layers = [(layer["mark"], chart.layer[at].data.values) for at, layer in enumerate(spec["layer"])]
        domain = next(
            layer["encoding"]["y"]["scale"]["domain"] for layer in spec["layer"] if "scale" in layer["encoding"]["y"]
        )
        arrows = [rows for mark, rows in layers if mark.get("shape") == "arrow"]
        return domain, arrows

    domain, arrows = drawn(inputs)
    assert domain[0] < 0  # no interaction
    assert domain[1] > 1.2  # the largest upper end
    assert arrows == []
    wild = next(item for item in inputs.fit.estimands if item.name == "interaction").model_copy(
        update={"label": "extrapolated", "headline": False, "quantity": Quantity(value=2.9, ci95=(0.2, 20.0))}
    )
    changed = replace(inputs, fit=inputs.fit.model_copy(update={"estimands": [*inputs.fit.estimands, wild]}))
    with_wild, arrows = drawn(changed)
    assert with_wild == domain
    ((arrow,),) = arrows
    assert (arrow["value"], arrow["low"], arrow["high"]) == (domain[1], 0.2, domain[1])
    assert "20" in arrow["value_text"]  # the tooltip has the full interval


def test_estimates_of_two_tokenizers_have_a_panel_each(inputs):
    assert not hasattr(estimands.figure(inputs, "overhead").chart, "concat")
    rows = [row.model_copy(update={"tokenizer": "bpe9"}) if row.arm == "bpe-mdm" else row for row in inputs.runs]
    figure = estimands.figure(replace(inputs, runs=rows), "overhead")
    assert [panel.title for panel in figure.chart.concat] == ["bytes over bpe", "bytes over bpe9"]
    for panel, objective in zip(figure.chart.concat, ("ar", "mdm"), strict=True):
        rows = [row for layer in panel.layer for row in layer.data.values if "objective" in row]
        assert {row["objective"] for row in rows} == {objective}
