"""Tables parse back to the numbers of the records, digit for digit."""

import csv
from dataclasses import replace
from typing import get_type_hints

import pytest

from bytegap.report import format as fmt
from bytegap.report.figures import tuning
from bytegap.report.inputs import NOT_SHOWN, Inputs, read_inputs
from bytegap.report.tables import exponents, fit, provenance, runs
from bytegap.schema.base import ArrayFile, Quantity
from bytegap.schema.data import ScoringSet, ScoringSplit, WindowsManifest
from bytegap.schema.fit import GapClosed
from bytegap.schema.frontier import ExponentNotBelow, NestedModel, SeparateLaws, SlopePair
from bytegap.study.directory import ARTIFACTS, RECORD

TWO = ("learning rate", "batch size")


@pytest.fixture(scope="module")
def inputs(study, build, tmp_path_factory):
    return read_inputs(build(tmp_path_factory.mktemp("tables") / "out"), study.name, study.arms)


def parsed(table):
    rows = list(csv.DictReader(table.csv().splitlines()))
    assert len(rows) == len(table.rows)
    assert all(len(row) == len(table.headings) for row in rows)
    return rows


def test_cells_agree_with_the_fit(inputs):
    cells = {(cell.arm, cell.budget_flops): cell for cell in inputs.study_dir.fit().cells}
    for row in parsed(fit.cells(inputs)):
        cell = cells.pop((row["arm"], float(row["budget_flops"])))
        assert float(row["optimum_bpb"]) == cell.optimum_bpb.value
        assert (float(row["optimum_bpb_low"]), float(row["optimum_bpb_high"])) == cell.optimum_bpb.ci95
        assert float(row["optimum_parameters"]) == cell.optimum_parameters.value
        assert row["in_frontier"] == str(cell.in_frontier)
        assert row["note"] == cell.note
    assert not cells


def test_estimands_agree_with_the_fit(inputs):
    found = inputs.study_dir.fit().estimands
    for row, item in zip(parsed(fit.estimands(inputs)), found, strict=True):
        assert (row["name"], row["objective"], row["form"], row["label"]) == (
            item.name,
            item.objective,
            item.form,
            item.label,
        )
        assert float(row["value"]) == item.quantity.value
        assert row["low"] == ("" if item.quantity.ci95 is None else repr(item.quantity.ci95[0]))
        assert row["bound"] == item.bound


def test_the_prediction_of_a_pure_shift_has_its_columns(inputs):
    assert "pure_shift" not in parsed(fit.estimands(inputs))[0]
    first, *others = inputs.fit.estimands
    shifted = first.model_copy(update={"pure_shift": Quantity(value=0.125, ci95=(0.1, 0.15))})
    changed = replace(inputs, fit=inputs.fit.model_copy(update={"estimands": [shifted, *others]}))
    row, other, *_ = parsed(fit.estimands(changed))
    assert [float(row[name]) for name in ("pure_shift", "pure_shift_low", "pure_shift_high")] == [0.125, 0.1, 0.15]
    assert other["pure_shift"] == ""


def test_noise_agrees_with_the_fit(inputs):
    for row, level in zip(parsed(fit.noise(inputs)), inputs.study_dir.fit().noise, strict=True):
        assert (row["objective"], row["permutations"]) == (level.objective, ", ".join(level.permutations))
        assert (float(row["residual_sd"]), float(row["seed_effect_sd"])) == (level.residual_sd, level.seed_effect_sd)
        assert (row["pooled"], row["dof"], row["seed_effect"]) == (str(level.pooled), str(level.dof), level.seed_effect)
    shown = [[entry.text for entry in row] for row in fit.noise(inputs).rows]
    assert shown[0] == [
        "ar",
        "identity, fixed",
        "yes",
        "0.312\N{NO-BREAK SPACE}%",
        "21",
        "0.123\N{NO-BREAK SPACE}%",
        "estimated",
    ]
    assert fit.noise(replace(inputs, fit=inputs.fit.model_copy(update={"noise": ()}))) is None


def test_shapes_of_curves_agree_with_the_fit(inputs):
    found = inputs.study_dir.fit()
    rows = {row["arm"]: row for row in parsed(fit.curves(inputs))}
    assert {arm: row["curvature"] for arm, row in rows.items()} == found.curvature
    assert {arm: float(row["skew"]) for arm, row in rows.items() if row["skew"]} == {
        arm: d.value for arm, d in found.skew.items()
    }
    assert (rows["byte-mdm"]["skew_low"], rows["byte-mdm"]["skew_high"]) == tuple(
        map(repr, found.skew["byte-mdm"].ci95)
    )
    assert rows["bpe-ar"]["skew_low"] == ""


def test_a_fit_from_before_shapes_were_stated_has_no_table_of_them(inputs):
    earlier = inputs.fit.model_copy(update={"curvature": {}})
    assert [row["arm"] for row in parsed(fit.curves(replace(inputs, fit=earlier)))] == ["bpe-ar", "byte-mdm"]
    assert fit.curves(replace(inputs, fit=earlier.model_copy(update={"skew": {}}))) is None


def test_frontiers_agree_with_the_fit(inputs):
    found = inputs.study_dir.fit().frontiers
    for row, item in zip(parsed(fit.frontiers(inputs)), found, strict=True):
        assert float(row["exponent"]) == item.exponent.value
        assert (float(row["flops_observed_low"]), float(row["flops_observed_high"])) == item.flops_observed


def test_separate_laws_agree_with_the_fit(inputs):
    assert exponents.separate_laws(inputs) is None
    models = [
        NestedModel(shared_by="all", exponents=1, chi_square=9.5, dof=7, irreducible_loss_bpb=1.2, p_value=0.012),
        NestedModel(shared_by="arm", exponents=4, chi_square=1.5, dof=4, irreducible_loss_bpb=1.1, p_value=None),
    ]
    test = SeparateLaws(form="shared irreducible loss", arms=["a", "b"], models=models, simplest="arm")
    changed = replace(inputs, fit=inputs.fit.model_copy(update={"separate_laws": test}))
    all_arms, per_arm = parsed(exponents.separate_laws(changed))
    assert (float(all_arms["chi_square"]), float(all_arms["p_value"]), all_arms["simplest"]) == (9.5, 0.012, "False")
    assert (per_arm["p_value"], per_arm["simplest"]) == ("", "True")


def test_slopes_agree_with_the_fit(inputs):
    assert exponents.slopes(inputs) is None
    found = SlopePair(
        arms=("a", "b"), margin=0.02, exponents=(Quantity(value=0.08), Quantity(value=0.07)), ci90=(0.003, 0.017),
        difference=Quantity(value=0.01, ci95=(0.001, 0.019)), equivalent=True, power=0.9, least_margin=0.012,
    )  # fmt: skip
    unknown = SlopePair(arms=("a", "c"), margin=0.02)
    changed = replace(inputs, fit=inputs.fit.model_copy(update={"slopes": [found, unknown]}))
    one, other = parsed(exponents.slopes(changed))
    assert [float(one[name]) for name in ("exponent_one", "exponent_other", "difference")] == [0.08, 0.07, 0.01]
    assert [float(one[name]) for name in ("difference_low", "difference_high", "low_90", "high_90")] == [
        0.001,
        0.019,
        0.003,
        0.017,
    ]
    assert (one["equivalent"], float(one["power"]), float(one["least_margin"])) == ("True", 0.9, 0.012)
    assert (other["equivalent"], other["difference"], other["power"]) == ("False", "", "")


def test_non_inferiority_and_gaps_closed_agree_with_the_fit(inputs):
    assert exponents.slopes_not_below(inputs) is None
    assert exponents.gaps_closed(inputs) is None
    test = ExponentNotBelow(
        arms=("a", "b"), margin=0.02, bpb_shared=(2.1, 2.6), form="power law", forms=2, power=0.9, not_below=True,
        exponents=(Quantity(value=0.08), Quantity(value=0.07)), ci90=(0.003, 0.017),
        difference=Quantity(value=0.01, ci95=(0.001, 0.019)),
    )  # fmt: skip
    unknown = ExponentNotBelow(arms=("a", "c"), margin=0.02)
    gap = GapClosed(
        arms=("a", "b", "c", "b"), at_bpb=2.4, form="power law", forms=1, ln_overhead=Quantity(value=0.3),
        plain_ln_overhead=Quantity(value=1.5), closed=Quantity(value=0.8, ci95=(0.72, 0.88)), ci95=(0.7, 0.9),
    )  # fmt: skip
    executed = gap.model_copy(update={"executed": gap.model_copy(update={"closed": Quantity(value=0.75)})})
    records = {"slopes_not_below": (test, unknown), "gaps_closed": (gap, executed)}
    changed = replace(inputs, fit=inputs.fit.model_copy(update=records))
    one, other = parsed(exponents.slopes_not_below(changed))
    numbers = ("from_bpb", "to_bpb", "exponent_one", "exponent_other", "difference", "low_90", "high_90", "power")
    assert [float(one[name]) for name in numbers] == [2.6, 2.1, 0.08, 0.07, 0.01, 0.003, 0.017, 0.9]
    assert (one["not_below"], other["not_below"], other["difference"], other["from_bpb"]) == ("True", "False", "", "")
    counted, recounted = parsed(exponents.gaps_closed(changed))
    numbers = ("at_bpb", "ln_overhead", "plain_ln_overhead", "closed", "low", "high")
    assert [float(counted[name]) for name in numbers] == [2.4, 0.3, 1.5, 0.8, 0.7, 0.9]
    assert (counted["executed"], recounted["executed"]) == ("", "0.75")


def test_runs_and_audit_agree_with_their_files(inputs):
    for row, run in zip(parsed(runs.runs(inputs)), inputs.study_dir.runs(), strict=True):
        assert row["run"] == run.run
        assert float(row["bpb"]) == run.bpb
        assert float(row["spent_flops"]) == run.spent_flops
        assert int(row["tokens"]) == run.tokens
    audit = inputs.study_dir.audit()
    for row, item in zip(parsed(runs.audit(inputs)), audit.runs, strict=True):
        assert float(row["ratio"]) == item.ratio
        assert row["update_rms_body"] == ""
        assert row["windows_sha256"] == item.windows_sha256


def test_tuning_agrees_with_its_file(inputs):
    audit = inputs.study_dir.audit()
    for row, item in zip(parsed(runs.tuning(inputs)), audit.tuning, strict=True):
        assert row["arm"] == item.arm
        assert float(row["best_rate"]) == item.best_rate.value
        assert float(row["best_weight_decay"]) == item.best_weight_decay.value
        assert row["bracketed"] == str(item.bracketed)
        assert float(row["lost_bpb"]) == item.lost_bpb.value
        assert row["lost_compute_low"] == ""
    panels = tuning.figure(inputs).chart.concat
    assert [panel.title for panel in panels] == [
        f"{what}, {end} budget"
        for what in ("learning rate", "batch size", "weight decay")
        for end in ("smallest", "largest")
    ]
    drawn = {(p["arm"], p["factor"]): p["increase"] for p in panels[2].layer[-1].data.values}
    smallest = [item for item in audit.tuning if item.budget_flops == min(row.budget_flops for row in audit.tuning)]
    assert drawn == {(item.arm, at): bpb / 2.0 - 1 for item in smallest for at, bpb in item.batches}
    assert {p["factor"] for p in panels[4].layer[-1].data.values} == {0.0, 1.0, 3.0}


@pytest.mark.parametrize(
    ("budgets", "ends"),
    [([1e11], ["one budget"]), ([1e10, 1e11, 1e12], ["smallest budget", "budgets between", "largest budget"])],
)
def test_every_audited_budget_is_drawn(inputs, budgets, ends):
    first = inputs.study_dir.audit().tuning[0].model_copy(update={"weight_decays": []})
    rows = [first.model_copy(update={"budget_flops": budget}) for budget in budgets]
    audit = inputs.audit.model_copy(update={"tuning": rows})
    panels = tuning.figure(replace(inputs, audit=audit)).chart.concat
    assert [panel.title for panel in panels] == [
        f"{what}, {end}" for what in ("learning rate", "batch size") for end in ends
    ]
    assert sum(len(panel.layer[-1].data.values) for panel in panels) == 6 * len(budgets)


def test_provenance_has_every_digit_of_the_corpus(inputs):
    rows = {(row["what"], row["which"]): row["value"] for row in parsed(provenance.table(inputs))}
    assert rows["corpus", "test, bytes"] == "5678901"
    assert rows["corpus", "source"] == "fixture"


def test_provenance_has_the_edge_documents_and_fallbacks_of_the_windows(inputs):
    array = ArrayFile(file="x.bin", dtype="uint64", length=3, sha256="ab" * 32)
    scoring = ScoringSet(tokens=array, counts=array, unigram_bpb=4.0, bigram_bpb=3.0, count_entropy_bpb=0.0123456)

    def split(**counts):
        return ScoringSplit(ends=array, bytes=4567, sha256="cd" * 32, tokenizers={"bpe": scoring}, **counts)

    splits = {"validation": split(windows=310), "test": split(windows=1200, n_documents=77, fallbacks=5)}
    manifest = WindowsManifest(
        inputs_sha256="", context_bytes=256, seq_len={"bpe": 64}, edge="tokens", splits=splits,
        other_edges={"words": {"test": split(windows=1234, n_documents=77, fallbacks=9)}},
    )  # fmt: skip
    table = parsed(provenance.table(replace(inputs, windows=manifest)))
    rows = {row["which"]: row["value"] for row in table if row["what"] == "windows"}
    assert rows["end at"] == "tokens: boundaries of all tokenizers"
    assert (rows["test, windows"], rows["test, documents with a window"]) == ("1200", "77")
    assert rows["test, windows that end elsewhere"] == "5"
    assert rows["test, bpe H(S | bytes), BPB"] == "0.0123456"
    assert (rows["test, edge words, windows"], rows["test, edge words, windows that end elsewhere"]) == ("1234", "9")
    assert rows["validation, windows"] == "310"
    assert "validation, documents with a window" not in rows  # an older file does not count them


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0031234, "0.312"), (0.5, "50"), (-0.0625, "\N{MINUS SIGN}6.25"), (12.3456, "1230"), (0.0, "0")],
)
def test_percentages_have_three_significant_digits(value, shown):
    assert fmt.percent(value) == f"{shown}\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("value", "shown"), [(1e15, "1e15"), (3.16e14, "3.16e14"), (1.0031e13, "1.003e13"), (9.9999e12, "1e13")]
)
def test_flops_are_formatted_as_in_the_study_file(value, shown):
    assert fmt.flops(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(999, "999"), (999.7, "1k"), (1234, "1.23k"), (999_900, "1M"), (48e6, "48M"), (12.5e9, "12.5G")],
)
def test_counts_have_three_significant_digits(value, shown):
    assert fmt.count(value) == shown


def test_every_artifact_is_shown_or_listed_as_not_shown():
    hints = " ".join(str(hint) for hint in get_type_hints(Inputs).values())
    for artifact in ARTIFACTS:
        is_shown = artifact is RECORD or f".{artifact.model.__name__}" in hints
        assert is_shown != (artifact in NOT_SHOWN), artifact.pattern
