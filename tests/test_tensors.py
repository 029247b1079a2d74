"""Tensors come back with their words, and no altered byte goes unnoticed."""

import pytest
import torch
from safetensors.torch import save_file

from bytegap.errors import StoreError
from bytegap.tensors import read_tensors, write_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.bfloat16), "step": torch.tensor(7.0)}


def test_tensors_and_words_come_back(tmp_path):
    write_tensors(tmp_path / "t", TENSORS, {"step": "7"})
    tensors, words = read_tensors(tmp_path / "t")
    assert words == {"step": "7"}
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_no_altered_byte_goes_unnoticed(tmp_path):
    path = tmp_path / "t"
    write_tensors(path, TENSORS, {"step": "7"})
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            read_tensors(path)


def test_others_files_and_missing_ones_are_named(tmp_path):
    save_file({"a": TENSORS["a"]}, tmp_path / "t")
    with pytest.raises(StoreError, match="its checksum is not that of what it holds"):
        read_tensors(tmp_path / "t")
    with pytest.raises(StoreError, match="is missing"):
        read_tensors(tmp_path / "none")
