"""The table of ln Z(n): the numbers of the rows and of the windows' manifest, and only where there are any."""

import csv
import math
from dataclasses import replace

import pytest

from bytegap.report import stage
from bytegap.report.inputs import read_inputs
from bytegap.report.tables.length_mass import table
from bytegap.schema.base import ArrayFile
from bytegap.schema.data import ScoringSet, ScoringSplit, WindowsManifest
from bytegap.schema.evaluate import LengthMassNumbers
from bytegap.study.directory import RUNS, WINDOWS

ENTROPY_BPB = {"bpe": 0.0318, "byte": 0.0}
MASSES = {
    "bpe-ar": LengthMassNumbers(bytes=71, log_mass=-1.0330, log_mass_se=0.07, samples=48, token_counts=(12, 38)),
    "bpe-mdm": LengthMassNumbers(bytes=71, log_mass=0.25, log_mass_se=0.1, samples=48, token_counts=(27, 38)),
    "byte-ar": LengthMassNumbers(bytes=71, log_mass=0.0, log_mass_se=0.0, samples=48, token_counts=(71, 71)),
    "byte-mdm": LengthMassNumbers(bytes=71, log_mass=None, log_mass_se=0.0, samples=48, token_counts=(71, 71)),
}


def windows() -> WindowsManifest:
    file = ArrayFile(file="made.up", dtype="uint8", length=1, sha256="")

    def split(more: float) -> ScoringSplit:
        sets = {
            name: ScoringSet(tokens=file, counts=file, unigram_bpb=4, bigram_bpb=3, count_entropy_bpb=entropy + more)
            for name, entropy in ENTROPY_BPB.items()
        }
        return ScoringSplit(ends=file, windows=1, bytes=71, sha256="", tokenizers=sets)

    splits = {"validation": split(1.0), "test": split(0.0)}
    return WindowsManifest(inputs_sha256="", context_bytes=72, seq_len={"bpe": 38, "byte": 72}, splits=splits)


@pytest.fixture
def study_dir(build, tmp_path):
    """The last run of every arm has a mass; the tokens' manifest is there."""
    study_dir = build(tmp_path / "out")
    last = {row.arm: row.run for row in study_dir.runs()}
    study_dir.write_rows(
        RUNS,
        [
            row.model_copy(update={"length_mass": MASSES[row.arm]}) if row.run == last[row.arm] else row
            for row in study_dir.runs()
        ],
    )
    study_dir.write(WINDOWS, windows())
    return study_dir


def test_the_table_has_the_numbers_of_the_records(study, study_dir):
    inputs = read_inputs(study_dir, study.name, study.arms)
    found = table(inputs)
    assert found in stage.all_tables(inputs)
    rows = {row["arm"]: row for row in csv.DictReader(found.csv().splitlines())}
    assert list(rows) == list(study.arms)
    for arm, mass in MASSES.items():
        row = rows[arm]
        assert (int(row["least_tokens"]), int(row["most_tokens"])) == mass.token_counts
        assert (int(row["bytes"]), float(row["budget_flops"]), int(row["samples"])) == (71, 1e15, 48)
        assert float(row["count_entropy_bpb"]) == ENTROPY_BPB[arm.split("-")[0]]
        if mass.log_mass is None:
            assert row["log_mass"] == row["log_mass_se"] == row["saved_bpb"] == ""
        else:
            assert (float(row["log_mass"]), float(row["log_mass_se"])) == (mass.log_mass, mass.log_mass_se)
            assert 2 ** (-float(row["saved_bpb"]) * 71) == pytest.approx(math.exp(mass.log_mass))
    assert rows["byte-ar"]["saved_bpb"] == "0.0"


def test_there_is_no_table_without_values(study, build, tmp_path):
    inputs = read_inputs(build(tmp_path / "out"), study.name, study.arms)
    assert table(inputs) is None
    assert "length_mass" not in {each.about.name for each in stage.all_tables(inputs)}


def test_without_the_windows_the_bracket_is_left_open(study, study_dir):
    inputs = replace(read_inputs(study_dir, study.name, study.arms), windows=None)
    rows = list(csv.DictReader(table(inputs).csv().splitlines()))
    assert {row["count_entropy_bpb"] for row in rows} == {""}
    assert float(rows[0]["log_mass"]) == MASSES["bpe-ar"].log_mass


def test_the_report_is_made_again_when_a_run_gets_its_mass(study, build, study_dir, tmp_path):
    before = read_inputs(build(tmp_path / "before"), study.name, study.arms).digest
    study_dir.path(WINDOWS).unlink()
    assert read_inputs(study_dir, study.name, study.arms).digest != before
