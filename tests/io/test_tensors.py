"""Tensors and metadata are read as written, and an altered byte is detected."""

import pytest
import torch
from safetensors.torch import save_file

from bytegap.errors import StudyDirError
from bytegap.io.tensors import read_tensors, write_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.bfloat16), "step": torch.tensor(7.0)}


def test_tensors_and_metadata_are_read_as_written(tmp_path):
    write_tensors(tmp_path / "t", TENSORS, {"step": "7"})
    tensors, texts = read_tensors(tmp_path / "t")
    assert texts == {"step": "7"}
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_every_altered_byte_is_detected(tmp_path):
    path = tmp_path / "t"
    write_tensors(path, TENSORS, {"step": "7"})
    good = path.read_bytes()
    for index in range(len(good)):
        path.write_bytes(good[:index] + bytes([good[index] ^ 0x10]) + good[index + 1 :])
        with pytest.raises(StudyDirError, match="is damaged"):
            read_tensors(path)


def test_files_without_checksum_and_missing_files_are_rejected(tmp_path):
    save_file({"a": TENSORS["a"]}, tmp_path / "t")
    with pytest.raises(StudyDirError, match="its checksum does not match its content"):
        read_tensors(tmp_path / "t")
    with pytest.raises(StudyDirError, match="is missing"):
        read_tensors(tmp_path / "none")
