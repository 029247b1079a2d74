"""Which form of the frontier the figures of estimands show opaque, and how they show bounds."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bytegap.report.figures import conventions, estimands
from bytegap.report.figures.estimand_points import preferred_forms
from bytegap.report.inputs import read_inputs
from bytegap.report.tables import fit


@pytest.fixture(scope="module")
def inputs(study, build, tmp_path_factory):
    """Bounds on both sides, with bootstrap intervals: of one point, and of two sides."""
    found = read_inputs(build(tmp_path_factory.mktemp("bounds") / "out"), study.name, study.arms)

    def bounded(item):
        if item.name not in {"overhead", "interaction"} or (item.label != "censored" and item.at_bpb != 2.2):
            return item
        value = item.quantity.value
        quantity = item.quantity.model_copy(update={"ci95": (value, value) if item.bound else (value / 2, value * 2)})
        return item.model_copy(update={"quantity": quantity, "label": "censored", "bound": item.bound or "<"})

    items = tuple(map(bounded, found.fit.estimands))
    by_convention = [
        result.model_copy(update={"estimands": [
            item.model_copy(update={"label": "censored", "bound": ">"}) if item.objective == "mdm" else item
            for item in result.estimands
        ]})
        for result in found.fit.by_convention
    ]  # fmt: skip
    changed = found.fit.model_copy(update={"estimands": items, "by_convention": by_convention})
    return replace(found, fit=changed)


def drawn(chart, mark):
    """All rows and encodings of the layers of one kind of mark."""
    layers = chart.to_dict()
    panels = layers.get("concat", [layers])
    data = layers.get("datasets", {})
    return [
        row
        for panel in panels
        for layer in panel["layer"]
        if layer["mark"]["type"] == mark
        for row in (data[layer["data"]["name"]] if "name" in layer["data"] else layer["data"]["values"])
    ]


@pytest.mark.parametrize("name", ["overhead", "interaction"])
def test_bounds_have_no_bars_and_point_to_their_side(inputs, name):
    chart = estimands.figure(inputs, name).chart
    bars = [row for row in drawn(chart, "rule") if "low" in row]
    assert bars
    assert not [row for row in bars if "bound" in row["status"]]
    bounds = [row for row in drawn(chart, "point") if "bound" in row["status"]]
    assert {row["status"] for row in bounds} == {"upper bound", *(["lower bound"] if name == "overhead" else [])}
    assert all(row["value_text"].count(" ") == 1 and row["value_text"][0] in "<>" for row in bounds)


def test_in_the_figure_of_conventions_a_lower_bound_points_right(inputs):
    chart = conventions.figure(inputs).chart
    assert {row["objective"] for row in drawn(chart, "rule")} == {"ar"}
    scale = chart.to_dict()["layer"][-1]["encoding"]["shape"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True))["lower bound"] == "triangle-right"


def test_the_table_of_estimands_has_no_interval_of_a_bound(inputs):
    table = fit.estimands(inputs)
    low = next(number for number, heading in enumerate(table.headings) if heading.key == "low")
    for item, row, parsed in zip(
        inputs.fit.estimands, table.rows, csv.DictReader(table.csv().splitlines()), strict=True
    ):
        assert float(parsed["value"]) == item.quantity.value
        if item.bound:
            assert (parsed["low"], parsed["high"]) == ("", "")
            assert [entry.text for entry in row[low : low + 2]] == ["\N{EN DASH}"] * 2
        else:
            assert (float(parsed["low"]), float(parsed["high"])) == item.quantity.ci95


def test_each_group_of_arms_prefers_the_first_form_that_it_has():
    identity, permuted = ["byte-ar", "bpe-ar"], ["byte-ar-window4", "bpe-ar-window4"]
    given = [
        (identity, "power law"),
        (permuted, "power law"),
        (identity, "shared irreducible loss"),
        (["a", "b"], "minima"),
    ]
    items = [SimpleNamespace(arms=arms, form=form) for arms, form in given]
    preferred = preferred_forms(["shared irreducible loss", "power law"], items)
    assert preferred == {
        tuple(identity): "shared irreducible loss",
        tuple(permuted): "power law",
        ("a", "b"): "minima",
    }
