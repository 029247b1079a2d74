"""Tables of the headlines under other choices: every number is the fit's, the rows of an estimand follow each other."""

import csv
from dataclasses import replace

import pytest

from bytegap.report.figures import conventions
from bytegap.report.inputs import read_inputs
from bytegap.report.tables import sensitivity

# Table, field of the fit, column and field of the choice.
CHOICES = [
    (sensitivity.conventions, "by_convention", "convention"),
    (sensitivity.edges, "by_edge", "edge"),
    (sensitivity.gates, "by_gate", "gate_bpb"),
    (sensitivity.repeats, "by_repeat", "repeat"),
]


@pytest.fixture(scope="module")
def inputs(study, build, tmp_path_factory):
    return read_inputs(build(tmp_path_factory.mktemp("sensitivity") / "out"), study.name, study.arms)


def parsed(table):
    return list(csv.DictReader(table.csv().splitlines()))


@pytest.mark.parametrize(("table", "field", "choice"), CHOICES)
def test_every_number_is_that_of_the_fit(inputs, table, field, choice):
    results = getattr(inputs.study_dir.fit(), field)
    expected = {
        (str(getattr(result, choice)), item.name, " / ".join(item.arms)): (
            item.objective,
            item.form,
            item.label,
            item.bound,
            "" if item.at_bpb is None else repr(item.at_bpb),
            repr(item.quantity.value),
            "" if item.bound else repr(item.quantity.ci95[0]),
            "" if item.bound else repr(item.quantity.ci95[1]),
            str(result.cells_in_frontier),
            str(result.bootstraps),
        )
        for result in results
        for item in result.estimands
    }
    columns = (
        "objective",
        "form",
        "label",
        "bound",
        "at_bpb",
        "value",
        "low",
        "high",
        "cells_in_frontier",
        "bootstraps",
    )
    rows = parsed(table(inputs))
    assert {(row[choice], row["name"], row["arms"]): tuple(row[name] for name in columns) for row in rows} == expected
    assert len(rows) == len(expected)
    assert next(iter(rows[0])) == choice


@pytest.mark.parametrize(("table", "field", "choice"), CHOICES)
def test_rows_of_an_estimand_follow_each_other_with_the_fits_own_choice_first(inputs, table, field, choice):
    choices = [str(getattr(result, choice)) for result in getattr(inputs.fit, field)]
    rows = parsed(table(inputs))
    groups = [rows[start : start + len(choices)] for start in range(0, len(rows), len(choices))]
    assert len(groups) > 2
    for group in groups:
        assert [row[choice] for row in group] == choices
        assert len({(row["name"], row["arms"]) for row in group}) == 1


@pytest.mark.parametrize(("table", "field", "choice"), CHOICES)
def test_there_is_no_table_of_one_choice_or_without_estimands(inputs, table, field, choice):
    del choice
    first, second, *_ = getattr(inputs.fit, field)
    without = [each.model_copy(update={"estimands": ()}) for each in (first, second)]
    no_headline = [item for item in inputs.fit.estimands if not item.headline]
    for results, items in (((), inputs.fit.estimands), ((first,), inputs.fit.estimands), (without, no_headline)):
        changed = inputs.fit.model_copy(update={field: results, "estimands": items})
        assert table(replace(inputs, fit=changed)) is None


@pytest.mark.parametrize(("table", "field", "choice"), CHOICES)
def test_a_choice_without_estimates_has_a_row_for_every_headline(inputs, table, field, choice):
    *others, last = getattr(inputs.fit, field)
    (kept, *_), headlines = last.estimands, [item for item in inputs.fit.estimands if item.headline]
    for found in ((), (kept,)):
        results = [*others, last.model_copy(update={"estimands": found})]
        drawn = table(replace(inputs, fit=inputs.fit.model_copy(update={field: results})))
        rows = parsed(drawn)
        own = [row for row in rows if row[choice] == str(getattr(last, choice))]
        unknown = {(row["name"], row["arms"]) for row in own if row["label"] == "not identified"}
        expected = {(item.name, " / ".join(item.arms)) for item in (*headlines, *others[0].estimands)}
        assert unknown == expected - {(item.name, " / ".join(item.arms)) for item in found}
        assert len(own) == len(expected) == len(rows) / len(results)
        for row in own:
            if row["label"] == "not identified":
                assert (row["value"], row["low"], row["high"], row["bound"]) == ("", "", "", "")
                assert row["cells_in_frontier"] == str(last.cells_in_frontier)
                (at,) = {item.at_bpb for item in headlines if " / ".join(item.arms) == row["arms"]} or {None}
                assert row["name"] == "parity" or float(row["at_bpb"]) == at
        shown = [entry.text for entry in drawn.rows[-1]]
        assert "not identified" in shown
        assert shown[shown.index("not identified") - 3 : shown.index("not identified")] == ["\N{EN DASH}"] * 3


def test_headlines_that_no_repeat_yields_alone_have_rows(inputs):
    without = [each.model_copy(update={"estimands": ()}) for each in inputs.fit.by_repeat]
    rows = parsed(sensitivity.repeats(replace(inputs, fit=inputs.fit.model_copy(update={"by_repeat": without}))))
    assert {row["label"] for row in rows} == {"not identified"}
    assert len(rows) == len(without) * sum(item.headline for item in inputs.fit.estimands)


def test_conventions_have_columns_of_their_own(inputs):
    found = {result.convention: result for result in inputs.study_dir.fit().by_convention}
    rows = parsed(sensitivity.conventions(inputs))
    for row in rows:
        assert float(row["largest_adjustment"]) == found[row["convention"]].largest_adjustment
        assert row["excluded_arms"] == ", ".join(found[row["convention"]].excluded_arms)
    assert rows[-1]["excluded_arms"] == "bpe-ar, byte-ar"
    overheads = [item for result in found.values() for item in result.estimands if item.name == "overhead"]
    marks = conventions.figure(inputs).chart.layer[-1].data.values
    assert [each["value"] for each in marks] == [item.quantity.value for item in overheads]


def test_repeats_have_their_number_of_runs(inputs):
    runs = {str(result.repeat): str(result.runs) for result in inputs.study_dir.fit().by_repeat}
    assert {row["repeat"]: row["runs"] for row in parsed(sensitivity.repeats(inputs))} == runs


def test_the_spread_over_repeats_is_that_of_the_fit(inputs):
    together = {(item.name, item.arms): item.quantity for item in inputs.fit.estimands if item.headline}
    table = sensitivity.spread(inputs)
    for row, spread in zip(parsed(table), inputs.study_dir.fit().repeat_spread, strict=True):
        assert (row["name"], row["objective"], row["form"]) == (spread.name, spread.objective, spread.form)
        assert row["arms"] == " / ".join(spread.arms)
        assert float(row["at_bpb"]) == spread.at_bpb
        assert tuple(map(float, row["values"].split())) == spread.values
        assert row["sd_ln"] == ("" if spread.sd_ln is None else repr(spread.sd_ln))
        assert (row["within"], row["repeats"]) == (str(spread.within), str(spread.repeats))
        all_repeats = together[spread.name, spread.arms]
        assert (float(row["value"]), float(row["low"])) == (all_repeats.value, all_repeats.ci95[0])
    times = "\N{MULTIPLICATION SIGN}"
    assert [entry.text for entry in table.rows[0]][-5:-1] == [
        f"1.53{times}, 1.46{times}, 1.58{times}",
        "0.04123",
        "1 of 3",
        "3",
    ]
    assert sensitivity.spread(replace(inputs, fit=inputs.fit.model_copy(update={"repeat_spread": ()}))) is None


@pytest.mark.parametrize(("repeats", "text"), [(1, ""), (2, "1 of 2")])
def test_one_repeat_is_not_held_against_the_interval(inputs, repeats, text):
    spread = inputs.fit.repeat_spread[0].model_copy(update={"repeats": repeats, "within": 1})
    fit = inputs.fit.model_copy(update={"repeat_spread": (spread,)})
    table = sensitivity.spread(replace(inputs, fit=fit))
    assert table.rows[0][-3].text == text
