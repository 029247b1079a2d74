"""Plug-ins by name: `bytegap.<kind>.<name>`, or an entry point of another package in the group `bytegap.<kind>`.

Adding one is adding one file. A plug-in's options are its module's `Options`, a frozen pydantic model; a module without
one takes none.
"""

import functools
import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bytegap.errors import StudyError, nearest


class Options(BaseModel):
    """Base of a plug-in's options: immutable, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@functools.cache
def names(kind: str) -> frozenset[str]:
    """Every plug-in of `kind` at hand, without importing any."""
    package = importlib.import_module(f"bytegap.{kind}")
    own = {
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and not module.ispkg and module.name not in _MACHINERY
    }
    return frozenset(own | {entry.name for entry in entry_points(group=f"bytegap.{kind}")})


# Modules of the stage packages `corpus` and `tokens` that are their machinery, not plug-ins.
_MACHINERY = {"stage", "split", "ngrams", "lossless", "scoring"}


@functools.cache
def load(kind: str, name: str) -> ModuleType:
    """Import the plug-in; StudyError names the nearest one if there is none."""
    if name not in names(kind):
        message = f"no '{name}' among {kind}: {nearest(name, names(kind))}"
        raise StudyError(message)
    for entry in entry_points(group=f"bytegap.{kind}"):
        if entry.name == name:
            return importlib.import_module(entry.module)
    return importlib.import_module(f"bytegap.{kind}.{name}")


def label(name: str, table: dict[str, Any]) -> str:
    """A plug-in with what it was told: `block (size 4)`; its name alone where it was told nothing."""
    told = ", ".join(f"{key} {value}" for key, value in sorted(table.items()))
    return f"{name} ({told})" if told else name


def options(kind: str, name: str, table: dict[str, Any]) -> BaseModel:
    """The plug-in's options from a study's table; StudyError names the key and the mend."""
    model: type[BaseModel] = getattr(load(kind, name), "Options", Options)
    for key in table:
        if key not in model.model_fields:
            message = f"{kind} '{name}' has no option '{key}': {nearest(key, model.model_fields)}"
            raise StudyError(message)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"{kind} '{name}', option '{where}': {first['msg']}"
        raise StudyError(message) from None
