"""Compressors in the report: the numbers of the record, few lines, none above all else, none of other windows."""

import csv

import pytest

from bytegap.records import Baselines, Compressed
from bytegap.report import baselines, frontiers, inputs
from bytegap.store import write_record
from tests.report.conftest import UNIGRAM

BPB = {
    "gzip -9": (7.1, 4.9, 2.6, 2.6),  # primed above the bytes' unigram, 4.72
    "bzip2 -9": (9.0, None, 2.1, None),
    "xz -9e": (8.4, 2.4, 2.2, 1.8),
    "PPMd o6": (6.6, 2.2, 1.9, 1.5),
    "PPMd o7": (6.6, 2.1, 1.9, 1.4),
    "PPMd o8": (6.6, 2.3, 1.9, 1.6),
}


def record(windows_sha256):
    places = [("windows", 0), ("windows", 1000), ("text", 0), ("text", 1000)]
    compressed = [
        Compressed(compressor=name, of=of, prime_bytes=prime, bytes=round(bpb * 1250), bpb=bpb)
        for name, all_four in BPB.items()
        for (of, prime), bpb in zip(places, all_four, strict=True)
        if bpb
    ]
    return Baselines(
        inputs="", windows=100, bytes=10_000, windows_sha256=windows_sha256, versions={}, compressed=compressed
    )


@pytest.fixture
def read(study, build, tmp_path):
    def read(windows_sha256=None):
        folder = build(tmp_path / "out")
        runs = inputs.read(folder, study.name, study.arms).runs
        write_record(folder.baselines, record(windows_sha256 or runs[0].windows_sha256))
        return inputs.read(folder, study.name, study.arms)

    return read


def test_the_table_is_the_record(read):
    rows = list(csv.DictReader(baselines.table(read()).csv().splitlines()))
    names = ("windows_bpb", "windows_primed_bpb", "text_bpb", "text_primed_bpb")
    assert {row["compressor"]: tuple(float(row[name]) if row[name] else None for name in names) for row in rows} == BPB
    assert [row["prime_bytes"] for row in rows] == ["1000", "", "1000", "1000", "1000", "1000"]
    assert rows[0]["text_bytes"] == "3250"


def test_few_are_drawn_and_none_above_all_else(read):
    given = read()
    drawn, above = baselines.lines(given)
    assert drawn == [("xz -9e, primed", 2.4), ("PPMd o7, primed", 2.1)]
    assert above == [("gzip -9, primed", 4.9)]
    figure = frontiers.figure(given)
    chart = str(figure.chart.to_dict())
    assert "PPMd o7, primed 2.10" in chart
    assert "gzip" not in chart
    assert "gzip -9, primed, 4.90" in figure.caption
    assert max(UNIGRAM.values()) < 4.9


def test_without_a_record_nothing_is_said(study, build, tmp_path):
    given = inputs.read(build(tmp_path / "out"), study.name, study.arms)
    assert baselines.table(given) is None
    assert baselines.lines(given) == ([], [])
    assert "compressors" not in frontiers.figure(given).caption


def test_what_is_of_other_windows_is_left_out(read, capsys):
    given = read("cd" * 32)
    assert given.baselines is None
    assert "of other windows" in capsys.readouterr().err


def test_a_new_record_is_a_new_page(study, build, tmp_path):
    folder = build(tmp_path / "out")
    before = inputs.read(folder, study.name, study.arms)
    write_record(folder.baselines, record(before.runs[0].windows_sha256))
    assert inputs.read(folder, study.name, study.arms).digest != before.digest
