"""The caption of the IsoFLOP grid says what its curves are: parabolas or cubics, of all sizes or near the minimum."""

from dataclasses import replace

import pytest

from bytegap.report.figures import isoflop
from bytegap.report.inputs import read_inputs
from bytegap.schema.base import Quantity


@pytest.fixture(scope="module")
def inputs(study, build, tmp_path_factory):
    return read_inputs(build(tmp_path_factory.mktemp("isoflop") / "out"), study.name, study.arms)


def caption(inputs, **fields):
    return isoflop.figure(replace(inputs, fit=inputs.fit.model_copy(update=fields))).caption


def test_curves_without_a_skew_are_parabolas(inputs):
    words = caption(inputs, skew={})
    assert "a function of ln N: a parabola. Hollow" in words
    assert "cubic" not in words


def test_arms_with_a_skew_have_cubics(inputs):
    assert "a parabola, and for bpe-ar, byte-mdm a cubic whose" in caption(inputs)
    everywhere = dict.fromkeys(inputs.drawn_arms, Quantity(value=0.01))
    words = caption(inputs, skew=everywhere)
    assert "ln N: a cubic whose" in words
    assert "parabola" not in words


def test_curves_of_wide_grids_are_of_the_sizes_near_the_minimum(inputs):
    assert "near the minimum" not in caption(inputs)
    first, second, third, *others = inputs.fit.cells
    local = [
        first.model_copy(update={"curve": first.curve[2:]}),
        second.model_copy(update={"curve": second.curve[:-1]}),
        third.model_copy(update={"curve": ()}),
    ]
    words = caption(inputs, cells=[*local, *others])
    assert f"In 2 of {len(inputs.cells) - 1} cells, whose sizes differ by a factor of more than 64, it is" in words
