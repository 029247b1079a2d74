"""Safetensors files that carry a checksum of what is in them: weights and checkpoints. Nothing is unpickled.

A file that is torn, altered or not ours is told by a StoreError and never read.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bytegap.errors import StoreError
from bytegap.store import no_space, whole

_CHECKSUM = "sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors and words whole or not at all; StoreError where the disk is full."""
    words = dict(metadata or {})
    named = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole(path) as aside:  # as a file's bytes it would be in memory twice more
        try:
            save_file(named, aside, words | {_CHECKSUM: _digest(named, words)})
        except SafetensorError as error:
            if "os error 28" in str(error).lower() or "StorageFull" in str(error):
                raise no_space(path) from None
            raise


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, words) as they were written; StoreError if the file is missing, torn or altered."""
    try:
        with safe_open(path, framework="pt") as file:
            words = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        message = f"{path} is missing"
        raise StoreError(message) from None
    except (SafetensorError, OSError) as error:
        message = f"{path} is damaged: {error}"
        raise StoreError(message) from None
    if words.pop(_CHECKSUM, None) != _digest(tensors, words):
        message = f"{path} is damaged: its checksum is not that of what it holds"
        raise StoreError(message)
    return {name: tensor.to(device) for name, tensor in tensors.items()}, words


def _digest(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> str:
    """SHA-256 over names, shapes, types, bytes and words."""
    checksum = hashlib.sha256(json.dumps(dict(words), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        checksum.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        checksum.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return checksum.hexdigest()
