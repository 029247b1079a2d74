"""Arrays on disk: mapped as they were written, and damage is detected."""

import numpy as np
import pytest
from pydantic import ValidationError

from bytegap.errors import StudyDirError
from bytegap.io import arrays
from bytegap.io.arrays import map_array, pieces_of, read_array, smallest_dtype, verify, write_array
from bytegap.schema.base import ArrayFile


def test_array_is_read_as_written_and_damage_is_detected(tmp_path):
    array = write_array(tmp_path, "a", smallest_dtype(300), [np.arange(5), np.arange(5, 9)])
    assert (array.dtype, array.length) == ("uint16", 9)
    assert read_array(tmp_path, array).tolist() == list(range(9))
    verify(tmp_path, array)
    data = bytearray((tmp_path / "a").read_bytes())
    data[3] ^= 1
    (tmp_path / "a").write_bytes(data)
    for read in (verify, read_array, lambda folder, array: next(pieces_of(folder, array, 2))):
        with pytest.raises(StudyDirError, match=f"checksum differs.*: delete {tmp_path} and run 'bytegap tokenize'"):
            read(tmp_path, array)
    (tmp_path / "a").write_bytes(data[:-2])
    for read in (verify, read_array, map_array):
        with pytest.raises(StudyDirError, match="has 16 bytes, 18 expected"):
            read(tmp_path, array)


def test_a_checksum_is_computed_once_until_the_file_changes(tmp_path, monkeypatch):
    array = write_array(tmp_path, "a", "uint8", [b"abc"])
    verify(tmp_path, array)
    monkeypatch.setattr(arrays, "file_sha256", lambda path: path.read_text())
    verify(tmp_path, array)
    (tmp_path / "b").write_bytes(b"abd")
    (tmp_path / "b").replace(tmp_path / "a")
    with pytest.raises(StudyDirError, match="checksum differs"):
        verify(tmp_path, array)


@pytest.mark.parametrize(("largest", "dtype"), [(255, "uint8"), (256, "uint16"), (2**16, "uint32"), (2**32, "uint64")])
def test_smallest_dtype(largest, dtype):
    assert smallest_dtype(largest) == dtype


def test_manifest_cannot_name_a_file_in_another_folder(tmp_path):
    array = write_array(tmp_path, "a", "uint8", [b"abc"])
    for file in ("../a", "/etc/passwd", "a/b", ".hidden", ""):
        with pytest.raises(ValidationError, match="file"):
            ArrayFile.model_validate(array.model_dump() | {"file": file})
