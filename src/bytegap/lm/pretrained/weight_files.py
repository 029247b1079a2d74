"""The *.safetensors of a model's folder: which files there are, their weights one at a time, copied into a network."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bytegap.errors import ModelError
from bytegap.lm.pretrained.config_file import ConfigFields

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class _SafetensorsFile(Protocol):
    """What is used of an open file; the library has no type hints of its own."""

    def keys(self) -> list[str]: ...

    def get_tensor(self, name: str) -> Tensor: ...


class _WeightIndex(ConfigFields):
    """model.safetensors.index.json."""

    weight_map: dict[str, str]
    """The file of each weight."""


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder; ModelError where there are none."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = set(_WeightIndex.model_validate_json(index.read_bytes()).weight_map.values())
        except ValidationError:
            raise ModelError(f"{index} is not an index of weights: fetch the model again") from None
        if odd := sorted(name for name in names if not re.fullmatch(r"[\w.-]+\.safetensors", name)):
            raise ModelError(f"{index} names the file {odd[0]!r}, which is no .safetensors file of that folder")
        if lacking := sorted(name for name in names if not (folder / name).is_file()):
            raise ModelError(f"{folder} lacks {lacking[0]}, which its index of weights names: fetch the model again")
        return [folder / name for name in sorted(names)]
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    pickled = any(path.suffix in {".bin", ".pt", ".pth", ".ckpt"} for path in folder.iterdir())
    what = "only pickled weights, which are not read: convert them to" if pickled else "no weights: fetch its"
    raise ModelError(f"{folder} holds {what} model.safetensors")


def read_weights(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Every weight with its name, one in memory at a time; ModelError where a file is missing or damaged."""
    for path in weight_files(folder):
        try:
            with cast("AbstractContextManager[_SafetensorsFile]", safe_open(path, framework="pt")) as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    yield name, file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is missing or damaged ({error}): fetch the model again") from None


@torch.no_grad()
def copy_weights(folder: Path, parameters: Mapping[str, Tensor], weights: Iterable[tuple[str, Tensor]]) -> None:
    """Copy each weight into the parameter with its name, in that parameter's dtype.

    ModelError names a weight that is missing, unexpected, or of another shape.
    """
    copied: set[str] = set()
    for name, weight in weights:
        if name not in parameters:
            raise ModelError(f"{folder}: unexpected weight '{name}': weights and config.json do not match")
        if weight.shape != parameters[name].shape:
            raise ModelError(
                f"{folder}: weight '{name}' has shape {tuple(weight.shape)}, but its config.json makes it "
                f"{tuple(parameters[name].shape)}: weights and config.json do not match"
            )
        parameters[name].copy_(weight)
        copied.add(name)
    if missing := sorted(parameters.keys() - copied):
        raise ModelError(
            f"{folder}: weight '{missing[0]}' is missing ({len(missing)} in all): fetch or export the model again"
        )
