"""The loss axis of the frontier figure spans minima and frontiers; n-gram models outside it are in the caption."""

from dataclasses import replace

import pytest

from bytegap.report.figures import frontiers
from bytegap.report.inputs import read_inputs
from tests.report.conftest import BIGRAM, UNIGRAM


@pytest.fixture(scope="module")
def inputs(study, build, tmp_path_factory):
    return read_inputs(build(tmp_path_factory.mktemp("frontiers") / "out"), study.name, study.arms)


def domain(figure):
    """The ends of the loss axis, in the one layer that states them."""
    layers = figure.spec["layer"]
    return next(each["encoding"]["y"]["scale"]["domain"] for each in layers if "scale" in each["encoding"].get("y", {}))


def changed(inputs, **bpb):
    """Every tokenizer's n-gram models at these BPB."""
    models = [each.model_copy(update=bpb) for each in inputs.fit.ngram_baselines]
    return replace(inputs, fit=inputs.fit.model_copy(update={"ngram_baselines": models}))


def test_the_axis_spans_minima_and_frontiers_whatever_the_ngram_models(inputs):
    low, high = domain(frontiers.figure(inputs))
    drawn = [cell.optimum_bpb.value for cell in inputs.cells]
    drawn += [end for cell in inputs.cells if cell.in_frontier for end in cell.optimum_bpb.ci95]
    drawn += [bpb for frontier in inputs.fit.frontiers for point in frontier.curve for bpb in point[1:]]
    margin = 0.1 * (max(drawn) - min(drawn))
    assert min(drawn) - margin < low < min(drawn)
    assert max(drawn) < high < max(drawn) + margin
    assert domain(frontiers.figure(changed(inputs, unigram_bpb=50.0, bigram_bpb=0.01))) == [low, high]


def test_an_ngram_model_is_either_a_line_or_in_the_caption(inputs):
    figure = frontiers.figure(inputs)
    low, high = domain(figure)
    chart = str(figure.spec)
    _, _, listed = figure.caption.partition("Outside the frame, in BPB of the same test text: ")
    found = {}
    for kind, values in (("unigram", UNIGRAM), ("bigram", BIGRAM)):
        for tokenizer, bpb in values.items():
            is_drawn = low <= bpb <= high
            name = f"{tokenizer} {kind} {bpb:.2f}"
            assert (name in chart, name in listed) == (is_drawn, not is_drawn)
            found[name] = is_drawn
    assert set(found.values()) == {True, False}
    assert listed.startswith("byte unigram 4.72. ")


def test_the_caption_tells_of_lines_only_where_there_are_some(inputs):
    all_outside = frontiers.figure(changed(inputs, unigram_bpb=9.0, bigram_bpb=8.0)).caption
    assert "Grey" not in all_outside
    assert "byte unigram 9.00; " in all_outside
    all_inside = frontiers.figure(changed(inputs, unigram_bpb=2.2, bigram_bpb=2.1)).caption
    assert "Outside" not in all_inside
    assert "Grey horizontal lines are n-gram models" in all_inside
