"""Tables parse back to the files' own numbers, digit for digit."""

import csv
from dataclasses import replace

import pytest

from bytegap.records import Audit, Fit, NestedModel, Quantity, RunRow, SeparateLaws, SlopePair
from bytegap.report import conventions, exponents, inputs, provenance, run_tables, tables, text, tuning
from bytegap.store import read_record, read_table


@pytest.fixture(scope="module")
def given(study, build, tmp_path_factory):
    return inputs.read(build(tmp_path_factory.mktemp("tables") / "out"), study.name, study.arms)


def parsed(table):
    rows = list(csv.DictReader(table.csv().splitlines()))
    assert len(rows) == len(table.rows)
    assert all(len(row) == len(table.columns) for row in rows)
    return rows


def test_cells_agree_with_the_fit(given):
    cells = {(cell.arm, cell.budget_flops): cell for cell in read_record(given.folder.fit, Fit, "fit").cells}
    for row in parsed(tables.cells(given)):
        cell = cells.pop((row["arm"], float(row["budget_flops"])))
        assert float(row["optimum_bpb"]) == cell.optimum_bpb.value
        assert (float(row["optimum_bpb_low"]), float(row["optimum_bpb_high"])) == cell.optimum_bpb.ci95
        assert float(row["optimum_parameters"]) == cell.optimum_parameters.value
        assert row["in_frontier"] == str(cell.in_frontier)
        assert row["note"] == cell.note
    assert not cells


def test_estimands_agree_with_the_fit(given):
    found = read_record(given.folder.fit, Fit, "fit").estimands
    for row, item in zip(parsed(tables.estimands(given)), found, strict=True):
        assert (row["name"], row["objective"], row["form"], row["label"]) == (
            item.name,
            item.objective,
            item.form,
            item.label,
        )
        assert float(row["value"]) == item.quantity.value
        assert row["low"] == ("" if item.quantity.ci95 is None else repr(item.quantity.ci95[0]))
        assert row["bound"] == item.bound


def test_a_pure_shift_stands_beside_the_interaction(given):
    assert "pure_shift" not in parsed(tables.estimands(given))[0]
    first, *others = given.fit.estimands
    shifted = first.model_copy(update={"pure_shift": Quantity(value=0.125, ci95=(0.1, 0.15))})
    asked = replace(given, fit=given.fit.model_copy(update={"estimands": [shifted, *others]}))
    row, other, *_ = parsed(tables.estimands(asked))
    assert [float(row[name]) for name in ("pure_shift", "pure_shift_low", "pure_shift_high")] == [0.125, 0.1, 0.15]
    assert other["pure_shift"] == ""


def test_conventions_agree_with_the_fit(given):
    found = read_record(given.folder.fit, Fit, "fit").by_convention
    rows = parsed(conventions.table(given))
    pairs = [(one, item) for one in found for item in one.estimands]
    for row, (one, item) in zip(rows, pairs, strict=True):
        assert (row["convention"], row["name"], row["label"]) == (one.convention, item.name, item.label)
        assert float(row["value"]) == item.quantity.value
        assert (float(row["low"]), float(row["high"])) == item.quantity.ci95
        assert float(row["largest_move"]) == one.largest_move
        assert row["left_out"] == ", ".join(one.left_out)
    assert rows[-1]["left_out"] == "bpe-ar, byte-ar"
    overheads = [item for _, item in pairs if item.name == "overhead"]
    marks = conventions.figure(given).chart.layer[-1].data.values
    assert [each["value"] for each in marks] == [i.quantity.value for i in overheads]


def test_frontiers_agree_with_the_fit(given):
    found = read_record(given.folder.fit, Fit, "fit").frontiers
    for row, item in zip(parsed(tables.frontiers(given)), found, strict=True):
        assert float(row["exponent"]) == item.exponent.value
        assert (float(row["flops_observed_low"]), float(row["flops_observed_high"])) == item.flops_observed


def test_separate_laws_agree_with_the_fit(given):
    assert exponents.separate_laws(given) is None
    models = [
        NestedModel(shared_by="all", exponents=1, chi_square=9.5, freedom=7, floor_bpb=1.2, p_value=0.012),
        NestedModel(shared_by="arm", exponents=4, chi_square=1.5, freedom=4, floor_bpb=1.1, p_value=None),
    ]
    test = SeparateLaws(form="shared floor", arms=["a", "b"], models=models, simplest="arm")
    asked = replace(given, fit=given.fit.model_copy(update={"separate_laws": test}))
    all_arms, per_arm = parsed(exponents.separate_laws(asked))
    assert (float(all_arms["chi_square"]), float(all_arms["p_value"]), all_arms["simplest"]) == (9.5, 0.012, "False")
    assert (per_arm["p_value"], per_arm["simplest"]) == ("", "True")


def test_slopes_agree_with_the_fit(given):
    assert exponents.slopes(given) is None
    found = SlopePair(
        arms=("a", "b"), margin=0.02, exponents=(Quantity(value=0.08), Quantity(value=0.07)), ci90=(0.003, 0.017),
        difference=Quantity(value=0.01, ci95=(0.001, 0.019)), equivalent=True, power=0.9, least_margin=0.012,
    )  # fmt: skip
    unknown = SlopePair(arms=("a", "c"), margin=0.02)
    asked = replace(given, fit=given.fit.model_copy(update={"slopes": [found, unknown]}))
    one, other = parsed(exponents.slopes(asked))
    assert [float(one[name]) for name in ("exponent_one", "exponent_other", "difference")] == [0.08, 0.07, 0.01]
    assert [float(one[name]) for name in ("low", "high", "low_90", "high_90")] == [0.001, 0.019, 0.003, 0.017]
    assert (one["equivalent"], float(one["power"]), float(one["least_margin"])) == ("True", 0.9, 0.012)
    assert (other["equivalent"], other["difference"], other["power"]) == ("False", "", "")


def test_runs_and_audit_agree_with_their_files(given):
    for row, run in zip(parsed(run_tables.runs(given)), read_table(given.folder.table, RunRow, "runs"), strict=True):
        assert row["run"] == run.run
        assert float(row["bpb"]) == run.bpb
        assert float(row["spent_flops"]) == run.spent_flops
        assert int(row["symbols"]) == run.symbols
    audit = read_record(given.folder.audit, Audit, "runs --audit")
    for row, item in zip(parsed(run_tables.audit(given)), audit.runs, strict=True):
        assert float(row["ratio"]) == item.ratio
        assert row["update_rms_body"] == ""
        assert row["windows_sha256"] == item.windows_sha256


def test_tuning_agrees_with_its_file(given):
    audit = read_record(given.folder.audit, Audit, "runs --audit")
    for row, item in zip(parsed(run_tables.tuning(given)), audit.tuning, strict=True):
        assert row["arm"] == item.arm
        assert float(row["best_rate"]) == item.best_rate.value
        assert row["bracketed"] == str(item.bracketed)
        assert float(row["lost_bpb"]) == item.lost_bpb.value
        assert row["lost_compute_low"] == ""
    panels = tuning.figure(given).chart.concat
    assert [panel.title for panel in panels] == [
        f"{what}, {end} budget" for what in ("learning rate", "batch") for end in ("smallest", "largest")
    ]
    drawn = {(p["arm"], p["factor"]): p["above"] for p in panels[2].layer[-1].data.values}
    smallest = [item for item in audit.tuning if item.budget_flops == min(row.budget_flops for row in audit.tuning)]
    assert drawn == {(item.arm, at): bpb / 2.0 - 1 for item in smallest for at, bpb in item.batches}


def test_provenance_gives_the_corpus_in_full(given):
    rows = {(row["what"], row["which"]): row["value"] for row in parsed(provenance.table(given))}
    assert rows["corpus", "test, bytes"] == "5678901"
    assert rows["corpus", "source"] == "fixture"


@pytest.mark.parametrize(
    ("value", "shown"), [(1e15, "1e15"), (3.16e14, "3.16e14"), (1.0031e13, "1.003e13"), (9.9999e12, "1e13")]
)
def test_flops_are_written_as_in_the_study_file(value, shown):
    assert text.flops(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(999, "999"), (999.7, "1k"), (1234, "1.23k"), (999_900, "1M"), (48e6, "48M"), (12.5e9, "12.5G")],
)
def test_counts_have_three_figures(value, shown):
    assert text.count(value) == shown
