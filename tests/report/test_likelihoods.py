"""Other likelihoods in the report: tables and figures hold the numbers of the fit, the chosen ones are filled."""

import csv
from dataclasses import replace

import pytest

from bytegap.report.figures import likelihoods
from bytegap.report.inputs import read_inputs
from bytegap.report.tables import likelihoods as tables
from bytegap.schema.base import Quantity


@pytest.fixture(scope="module")
def inputs(study, build, tmp_path_factory):
    return read_inputs(build(tmp_path_factory.mktemp("likelihoods") / "out"), study.name, study.arms)


@pytest.fixture(scope="module")
def figures(inputs):
    return likelihoods.figures(inputs)


def parsed(table):
    return list(csv.DictReader(table.csv().splitlines()))


def changed(inputs, **fields):
    found = inputs.fit.likelihoods.model_copy(update=fields)
    return replace(inputs, fit=inputs.fit.model_copy(update={"likelihoods": found}))


def ends(row, name):
    return tuple(float(row[f"{name}{part}"]) for part in ("", "_low", "_high"))


def test_gains_agree_with_the_fit(inputs):
    sizes = {row.run: row.non_embedding_parameters for row in inputs.study_dir.runs()}
    for row, gain in zip(parsed(tables.gains(inputs)), inputs.study_dir.fit().likelihoods.gains, strict=True):
        names = ("arm", "run", "gain", "likelihood", "chosen", "documents", "windows")
        assert {name: row[name] for name in names} == {name: str(getattr(gain, name)) for name in names}
        assert float(row["budget_flops"]) == gain.budget_flops
        assert int(row["non_embedding_parameters"]) == sizes[gain.run]
        assert ends(row, "gain_bpb") == (gain.gain_bpb.value, *gain.gain_bpb.ci95)


def test_shares_agree_with_the_fit(inputs):
    table = tables.shares(inputs)
    for row, share in zip(parsed(table), inputs.study_dir.fit().likelihoods.shares, strict=True):
        assert (row["gain"], row["form"], row["label"]) == (share.gain, share.form, share.label)
        assert row["arms"] == " / ".join(share.arms)
        assert float(row["at_bpb"]) == share.at_bpb
        assert row["likelihoods"] == ", ".join(f"{arm}: {name}" for arm, name in share.likelihoods.items())
        for name in ("interaction", "other_interaction", "share"):
            assert ends(row, name) == (getattr(share, name).value, *getattr(share, name).ci95)
    percent = "\N{NO-BREAK SPACE}%"
    assert [row[2].text for row in table.rows] == [f"31.2{percent}", f"\N{MINUS SIGN}6.25{percent}"]


def test_nothing_is_shown_where_no_run_has_other_likelihoods(inputs):
    without = replace(inputs, fit=inputs.fit.model_copy(update={"likelihoods": None}))
    assert (tables.gains(without), tables.shares(without), likelihoods.figures(without)) == (None, None, [])
    assert tables.shares(changed(inputs, shares=())) is None
    assert [figure.name for figure in likelihoods.figures(changed(inputs, shares=()))] == ["likelihood_gains"]


def test_the_chosen_gains_are_filled_and_joined_and_have_bars_the_others_hollow(inputs, figures):
    gains = inputs.fit.likelihoods.gains
    panels = figures[0].chart.concat
    assert [panel.title.partition(":")[0] for panel in panels] == ["order gain", "slack"]
    for kind, panel in zip(("order gain", "slack"), panels, strict=True):
        own = [gain for gain in gains if gain.gain == kind]
        drawn = {
            str(layer.mark.to_dict()["type"]) + str(layer.mark.to_dict().get("filled", "")): layer.data.values
            for layer in panel.layer[1:]
        }
        assert list(drawn) == ["line", "rule", "pointFalse", "pointTrue"]
        chosen = [(gain.arm, gain.budget_flops, gain.gain_bpb.value) for gain in own if gain.chosen]
        assert [(row["arm"], row["C"], row["gain"]) for row in drawn["pointTrue"]] == chosen
        assert drawn["line"] == drawn["pointTrue"]
        assert [row["gain"] for row in drawn["pointFalse"]] == [g.gain_bpb.value for g in own if not g.chosen]
        assert [(row["low"], row["high"]) for row in drawn["rule"]] == [g.gain_bpb.ci95 for g in own if g.chosen]


def test_an_arm_has_its_own_colour_and_only_masked_arms_are_in_the_legend(inputs, figures):
    colour = figures[0].spec["concat"][0]["layer"][-1]["encoding"]["color"]
    assert colour["scale"]["domain"] == inputs.drawn_arms
    assert colour["legend"]["values"] == [arm for arm in inputs.drawn_arms if arm.endswith("mdm")]


def test_an_interaction_has_a_row_for_every_likelihood(inputs, figures):
    rows = figures[1].chart.layer[-1].data.values
    order, slack = inputs.fit.likelihoods.shares
    expected = (order.interaction, order.other_interaction, slack.other_interaction)
    assert [row["value"] for row in rows] == [each.value for each in expected]
    bars = figures[1].chart.layer[1].data.values
    assert [(row["low"], row["high"]) for row in bars] == [each.ci95 for each in expected]
    assert [row["label"] for row in rows] == ["estimated", "estimated", "extrapolated"]
    assert [row["baseline"] for row in rows] == [
        "byte: mdm - ar, NELBO",
        "byte: mdm - ar, rule explains, 31\N{NO-BREAK SPACE}% (11 to 51)",
        "byte: mdm - ar, K orders explain, \N{MINUS SIGN}6\N{NO-BREAK SPACE}% (\N{MINUS SIGN}26 to 14), extrapolated",
    ]


def test_a_share_is_in_whole_percent_without_an_interval_where_it_has_none(inputs):
    one, other = inputs.fit.likelihoods.shares
    quantities = (Quantity(value=0.996, ci95=(-0.004, 12.004)), Quantity(value=-0.001))
    shares = [share.model_copy(update={"share": q}) for share, q in zip((one, other), quantities, strict=True)]
    rows = likelihoods.figures(changed(inputs, shares=shares))[1].chart.layer[-1].data.values
    assert [row["baseline"].partition("expl")[2] for row in rows[1:]] == [
        "ains, 100\N{NO-BREAK SPACE}% (0 to 1200)",
        "ain, 0\N{NO-BREAK SPACE}%, extrapolated",
    ]


def test_an_unknown_share_is_a_dash_and_an_unknown_gain_is_not_drawn(inputs):
    found = inputs.fit.likelihoods
    shares = [share.model_copy(update={"share": Quantity(value=None)}) for share in found.shares]
    gains = [found.gains[0].model_copy(update={"gain_bpb": Quantity(value=None)}), *found.gains[1:]]
    gained, explained = likelihoods.figures(changed(inputs, shares=shares, gains=gains))
    assert explained.chart.layer[-1].data.values[1]["baseline"].endswith("explains, \N{EN DASH}")
    assert sum(len(layer.data.values) for layer in gained.chart.concat[0].layer[-2:]) == len(found.gains) / 2 - 1
