"""Compressors in the report: the numbers of the record; few are drawn, none outside the frame."""

import csv

import pytest

from bytegap.report.figures import compressors, frontiers
from bytegap.report.inputs import read_inputs
from bytegap.report.tables import compressors as compressor_table
from bytegap.schema.evaluate import Baselines, Compressed
from bytegap.study.directory import BASELINES

# Windows alone, windows primed, text alone, text primed.
BPB = {
    "gzip -9": (7.1, 4.9, 2.6, 2.6),  # primed above all minima
    "bzip2 -9": (9.0, None, 2.1, None),
    "xz -9e": (8.4, 2.4, 2.2, 1.8),
    "PPMd o6": (6.6, 2.2, 1.9, 1.5),
    "PPMd o7": (6.6, 2.1, 1.9, 1.4),
    "PPMd o8": (6.6, 2.3, 1.9, 1.6),
}


def record(windows_sha256):
    columns = [("windows", 0), ("windows", 1000), ("text", 0), ("text", 1000)]
    compressed = [
        Compressed(compressor=name, scope=scope, prime_bytes=prime_bytes, bytes=round(bpb * 1250), bpb=bpb)
        for name, all_four in BPB.items()
        for (scope, prime_bytes), bpb in zip(columns, all_four, strict=True)
        if bpb
    ]
    return Baselines(
        inputs_sha256="", windows=100, bytes=10_000, windows_sha256=windows_sha256, versions={}, compressed=compressed
    )


@pytest.fixture
def read(study, build, tmp_path):
    def read(windows_sha256=None):
        study_dir = build(tmp_path / "out")
        runs = read_inputs(study_dir, study.name, study.arms).runs
        study_dir.write(BASELINES, record(windows_sha256 or runs[0].windows_sha256))
        return read_inputs(study_dir, study.name, study.arms)

    return read


def test_the_table_holds_the_numbers_of_the_record(read):
    rows = list(csv.DictReader(compressor_table.table(read()).csv().splitlines()))
    names = ("windows_bpb", "windows_primed_bpb", "text_bpb", "text_primed_bpb")
    assert {row["compressor"]: tuple(float(row[name]) if row[name] else None for name in names) for row in rows} == BPB
    assert [row["prime_bytes"] for row in rows] == ["1000", "", "1000", "1000", "1000", "1000"]
    assert rows[0]["text_bytes"] == "3250"


def test_few_compressors_are_drawn_and_none_outside_the_frame(read):
    inputs = read()
    assert compressors.bpb_lines(inputs) == [
        ("gzip -9, primed", 4.9),
        ("xz -9e, primed", 2.4),
        ("PPMd o7, primed", 2.1),
    ]
    figure = frontiers.figure(inputs)
    chart = str(figure.chart.to_dict())
    assert "PPMd o7, primed 2.10" in chart
    assert "gzip" not in chart
    assert "gzip -9, primed 4.90" in figure.caption
    assert "Grey lines of compressors" in figure.caption


def test_no_compressors_are_shown_without_a_record(study, build, tmp_path):
    inputs = read_inputs(build(tmp_path / "out"), study.name, study.arms)
    assert compressor_table.table(inputs) is None
    assert compressors.bpb_lines(inputs) == []
    assert "compressors" not in frontiers.figure(inputs).caption


def test_a_record_of_other_windows_is_left_out_with_a_warning(read, capsys):
    inputs = read("cd" * 32)
    assert inputs.baselines is None
    assert "other test windows" in capsys.readouterr().err


def test_a_new_record_changes_the_digest(study, build, tmp_path):
    study_dir = build(tmp_path / "out")
    before = read_inputs(study_dir, study.name, study.arms)
    study_dir.write(BASELINES, record(before.runs[0].windows_sha256))
    assert read_inputs(study_dir, study.name, study.arms).digest != before.digest
