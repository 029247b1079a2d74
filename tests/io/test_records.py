"""Records on disk: read as they were written; damaged ones are rejected with a sentence."""

import hashlib
import json

import pyarrow.json as paj
import pytest

from bytegap.errors import StudyDirError
from bytegap.io.records import read_record, read_table, write_record, write_table
from bytegap.schema.runs import Timings

TIMINGS = Timings(
    run="r", train_s=1.5, evaluate_s=0.1, tokens_per_s=3.0, flops_per_s=1e9, started="2026-11-24", host="h"
)


def test_record_is_read_as_written(tmp_path):
    write_record(tmp_path / "deep" / "t.json", TIMINGS)
    assert read_record(tmp_path / "deep" / "t.json", Timings, "train") == TIMINGS
    write_table(tmp_path / "t.jsonl", [TIMINGS, TIMINGS])
    assert read_table(tmp_path / "t.jsonl", Timings, "collect") == [TIMINGS, TIMINGS]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_timings_without_checkpoint_time_are_read(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(TIMINGS.model_dump(exclude={"checkpoint_s"})))
    assert read_record(path, Timings, "train") == TIMINGS


def test_missing_and_damaged_files_name_the_verb_that_writes_them(tmp_path):
    path = tmp_path / "t.json"
    with pytest.raises(StudyDirError, match="run 'bytegap train' first"):
        read_record(path, Timings, "train")
    path.write_text(TIMINGS.model_dump_json()[:-20])
    with pytest.raises(StudyDirError, match=r"t\.json is damaged.*delete it and run 'bytegap train' again"):
        read_record(path, Timings, "train")
    path.write_text(TIMINGS.model_dump_json().replace('"host"', '"hoist"'))
    with pytest.raises(StudyDirError, match="unknown key 'hoist': did you mean 'host'"):
        read_record(path, Timings, "train")
    path.write_text(TIMINGS.model_dump_json() + "\n{}\n")
    with pytest.raises(StudyDirError, match="line 2"):
        read_table(path, Timings, "collect")


def test_altered_record_is_rejected(tmp_path):
    path = tmp_path / "t.json"
    write_record(path, TIMINGS)
    good = path.read_bytes()
    for index in range(len(good) - 3):
        altered = good[:index] + bytes([good[index] ^ 0x02]) + good[index + 1 :]
        path.write_bytes(altered)
        try:
            found = read_record(path, Timings, "train")
        except StudyDirError:
            continue
        assert found == TIMINGS  # an altered space outside strings changes nothing
    path.write_text(good.decode().replace("1.5", "2.5"))
    with pytest.raises(StudyDirError, match="its checksum does not match its content"):
        read_record(path, Timings, "train")


def test_altered_line_is_rejected(tmp_path):
    path = tmp_path / "t.jsonl"
    write_table(path, [TIMINGS, TIMINGS.model_copy(update={"run": "s"})])
    good = path.read_bytes()
    begin, end = good.index(b"\n") + 1, len(good) - 1
    for index in range(begin, end):
        path.write_bytes(good[:index] + bytes([good[index] ^ 0x02]) + good[index + 1 :])
        with pytest.raises(StudyDirError, match=r"t\.jsonl, line 2: .*: run 'bytegap collect' again"):
            read_table(path, Timings, "collect")
    path.write_text(good.decode().replace("1.5", "2.5", 1))
    with pytest.raises(StudyDirError, match="line 1: its checksum does not match its content"):
        read_table(path, Timings, "collect")


def test_table_is_read_without_checksums_and_by_other_readers_with_them(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(TIMINGS.model_dump_json() + "\n")
    assert read_table(path, Timings, "collect") == [TIMINGS]
    write_table(path, [TIMINGS])
    rest = json.loads(path.read_text())
    checksum = rest.pop("checksum")
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert checksum == hashlib.sha256(canonical.encode()).hexdigest()
    assert paj.read_json(path).column_names == [*TIMINGS.model_dump(), "checksum"]


@pytest.mark.parametrize("version", [1, 3, "x"])
def test_record_of_another_format_version_is_one_sentence(tmp_path, version):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(TIMINGS.model_dump() | {"schema_version": version, "symbols_per_s": 1.0}))
    with pytest.raises(StudyDirError) as caught:
        read_record(path, Timings, "train")
    assert str(caught.value) == (
        f"{path} has format {version!r} of another bytegap version, and this one reads format 2: "
        "delete it and run 'bytegap train' again"
    )
    (tmp_path / "t.jsonl").write_text(path.read_text())
    with pytest.raises(StudyDirError, match=r"t\.jsonl, line 1: has format .*: run 'bytegap collect' again"):
        read_table(tmp_path / "t.jsonl", Timings, "collect")
