"""Files appear whole or not at all; damage is named."""

import errno
import hashlib
import json

import numpy as np
import pyarrow.json as paj
import pytest
from pydantic import ValidationError

from bytegap.errors import StoreError
from bytegap.records import ArrayFile, CorpusManifest, Timings
from bytegap.shards import read_array, smallest_dtype, verify, write_array
from bytegap.store import new_folder, read_record, read_table, standing, write_bytes, write_record, write_table

TIMINGS = Timings(
    run="r", train_s=1.5, evaluate_s=0.1, symbols_per_s=3.0, flops_per_s=1e9, started="2026-11-24", host="h"
)


def test_a_record_survives_its_file(tmp_path):
    write_record(tmp_path / "deep" / "t.json", TIMINGS)
    assert read_record(tmp_path / "deep" / "t.json", Timings, "train") == TIMINGS
    write_table(tmp_path / "t.jsonl", [TIMINGS, TIMINGS])
    assert read_table(tmp_path / "t.jsonl", Timings, "runs") == [TIMINGS, TIMINGS]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_timings_from_before_checkpoints_were_timed_are_read(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(TIMINGS.model_dump(exclude={"checkpoint_s"})))
    assert read_record(path, Timings, "train") == TIMINGS


def test_missing_and_damaged_files_name_the_verb_that_mends(tmp_path):
    path = tmp_path / "t.json"
    with pytest.raises(StoreError, match="run 'bytegap train' first"):
        read_record(path, Timings, "train")
    path.write_text(TIMINGS.model_dump_json()[:-20])
    with pytest.raises(StoreError, match=r"t\.json is damaged.*delete it and run 'bytegap train' again"):
        read_record(path, Timings, "train")
    path.write_text(TIMINGS.model_dump_json().replace('"host"', '"hoist"'))
    with pytest.raises(StoreError, match="damaged or of another version"):
        read_record(path, Timings, "train")
    path.write_text(TIMINGS.model_dump_json() + "\n{}\n")
    with pytest.raises(StoreError, match="line 2"):
        read_table(path, Timings, "runs")


def test_a_record_altered_in_place_is_named_and_not_read(tmp_path):
    path = tmp_path / "t.json"
    write_record(path, TIMINGS)
    good = path.read_bytes()
    for place in range(len(good) - 3):
        altered = good[:place] + bytes([good[place] ^ 0x02]) + good[place + 1 :]
        path.write_bytes(altered)
        try:
            found = read_record(path, Timings, "train")
        except StoreError:
            continue
        assert found == TIMINGS  # an altered space between words says the same
    path.write_text(good.decode().replace("1.5", "2.5"))
    with pytest.raises(StoreError, match="its checksum is not that of what it holds"):
        read_record(path, Timings, "train")


def test_a_line_altered_in_place_is_named_and_not_read(tmp_path):
    path = tmp_path / "t.jsonl"
    write_table(path, [TIMINGS, TIMINGS.model_copy(update={"run": "s"})])
    good = path.read_bytes()
    begin, end = good.index(b"\n") + 1, len(good) - 1
    for place in range(begin, end):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x02]) + good[place + 1 :])
        with pytest.raises(StoreError, match=r"t\.jsonl, line 2: .*: run 'bytegap runs' again"):
            read_table(path, Timings, "runs")
    path.write_text(good.decode().replace("1.5", "2.5", 1))
    with pytest.raises(StoreError, match="line 1: its checksum is not that of what it holds"):
        read_table(path, Timings, "runs")


def test_a_table_is_read_without_checksums_and_by_others_with_them(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(TIMINGS.model_dump_json() + "\n")
    assert read_table(path, Timings, "runs") == [TIMINGS]
    write_table(path, [TIMINGS])
    rest = json.loads(path.read_text())
    told = rest.pop("checksum")
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert told == hashlib.sha256(canonical.encode()).hexdigest()
    assert paj.read_json(path).column_names == [*TIMINGS.model_dump(), "checksum"]


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_bytes(path, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(StoreError, match="f: no space left on the disk: free some"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_bytes(path, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    with new_folder(tmp_path / "d") as building:
        (building / "a").write_text("1")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "d") as building:
        (building / "b").write_text(str(1 / 0))
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [tmp_path / "d"]


def test_standing_asks_for_the_same_inputs(tmp_path, capsys):
    manifest = CorpusManifest(
        inputs="one", source="s", documents_read=1, duplicates_dropped=0, empty_dropped=0, splits={}
    )
    path = tmp_path / "manifest.json"
    assert standing(path, CorpusManifest, "one") is None
    assert capsys.readouterr().err == ""
    write_record(path, manifest)
    assert standing(path, CorpusManifest, "one") == manifest
    assert standing(path, CorpusManifest, "two") is None
    assert "an input changed" in capsys.readouterr().err


def test_arrays_are_mapped_and_their_damage_is_seen(tmp_path):
    array = write_array(tmp_path, "a", smallest_dtype(300), [np.arange(5), np.arange(5, 9)])
    assert (array.dtype, array.length) == ("uint16", 9)
    assert read_array(tmp_path, array).tolist() == list(range(9))
    verify(tmp_path, array)
    data = bytearray((tmp_path / "a").read_bytes())
    data[3] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(StoreError, match="checksum differs"):
        verify(tmp_path, array)
    (tmp_path / "a").write_bytes(data[:-2])
    with pytest.raises(StoreError, match="16 bytes, 18 bytes expected"):
        read_array(tmp_path, array)


@pytest.mark.parametrize(("largest", "dtype"), [(255, "uint8"), (256, "uint16"), (2**16, "uint32"), (2**32, "uint64")])
def test_the_narrowest_type_that_holds(largest, dtype):
    assert smallest_dtype(largest) == dtype


def test_a_manifest_cannot_name_a_file_elsewhere(tmp_path):
    array = write_array(tmp_path, "a", "uint8", [b"abc"])
    for file in ("../a", "/etc/passwd", "a/b", ".hidden", ""):
        with pytest.raises(ValidationError, match="file"):
            ArrayFile.model_validate(array.model_dump() | {"file": file})
