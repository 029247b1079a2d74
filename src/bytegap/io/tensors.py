"""Safetensors files with a checksum of their content: weights and checkpoints. Nothing is unpickled.

A file that is torn, altered, or without a checksum is rejected by a StudyDirError.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType] - a bare Dict in its types
from torch import Tensor

from bytegap.errors import StudyDirError
from bytegap.io.atomic import atomic_path, no_space

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_CHECKSUM = "sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors and text metadata atomically; StudyDirError where the disk is full."""
    texts = dict(metadata or {})
    named = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:  # safetensors writes to a path; its bytes would need memory twice more
        try:
            save_file(named, temporary, texts | {_CHECKSUM: _digest(named, texts)})
        except SafetensorError as error:
            if "os error 28" in str(error).lower() or "StorageFull" in str(error):
                raise no_space(path) from None
            raise


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) as they were written; StudyDirError if the file is missing, torn or altered."""
    try:
        with cast("AbstractContextManager[_OpenFile]", safe_open(path, framework="pt")) as file:
            texts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise StudyDirError(f"{path} is missing") from None
    except (SafetensorError, OSError) as error:
        raise StudyDirError(f"{path} is damaged: {error}") from None
    if texts.pop(_CHECKSUM, None) != _digest(tensors, texts):
        raise StudyDirError(f"{path} is damaged: its checksum does not match its content")
    return {name: tensor.to(device) for name, tensor in tensors.items()}, texts


class _OpenFile(Protocol):
    """What safetensors' `safe_open` gives, which has no types."""

    def metadata(self) -> dict[str, str] | None: ...

    def keys(self) -> list[str]: ...

    def get_tensor(self, name: str) -> Tensor: ...


def _digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """SHA-256 over names, shapes, types and bytes of the tensors, and the metadata."""
    checksum = hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        checksum.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        checksum.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return checksum.hexdigest()
