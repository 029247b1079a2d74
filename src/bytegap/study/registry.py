"""Parts by name: objectives, permutations, tokenizers, model families and corpus sources.

A part is a frozen dataclass.
Its fields are the options that a study file may set, its methods are its behaviour.
A part of kind K called NAME is the one public class of that kind in the module `PACKAGE.NAME`, or what another
installed package names in the entry point group `PACKAGE`.
So adding a part is adding one file.
"""

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from types import ModuleType
from typing import ClassVar, TypeVar

from pydantic import TypeAdapter, ValidationError

from bytegap.errors import StudyError, nearest, sentence

PACKAGES = {
    "objective": "bytegap.objectives",
    "permutation": "bytegap.data.permutations",
    "model": "bytegap.models",
    "tokenizer": "bytegap.data.tokenizers",
    "corpus source": "bytegap.data.corpora",
}
"""The package of each kind, which is also its entry point group."""


class Part:
    """Base of everything that a study file names; each kind has its own abstract subclass."""

    kind: ClassVar[str]
    """A key of `PACKAGES`."""


P = TypeVar("P", bound=Part)


@functools.cache
def names(kind: str) -> frozenset[str]:
    """Names of all installed parts of `kind`; imports none of them."""
    package = importlib.import_module(PACKAGES[kind])
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)} - {"base"}
    return frozenset(modules | {entry.name for entry in entry_points(group=PACKAGES[kind])})


@functools.cache
def part_class(kind: str, name: str) -> type[Part]:
    """The class of a part; StudyError with the nearest name where there is none."""
    if name not in names(kind):
        raise StudyError(f"no {kind} is called '{name}': {nearest(name, names(kind))}")
    for entry in entry_points(group=PACKAGES[kind]):
        if entry.name == name:
            return _from_entry_point(kind, entry)
    module = importlib.import_module(f"{PACKAGES[kind]}.{name}")
    return _only_part(kind, module.__name__, vars(module))


def build(base: type[P], name: str, options: Mapping[str, object]) -> P:
    """The part called `name`, of the kind of `base`, with these options.

    Raises StudyError where the name, an option's name, or an option's value is not valid.
    """
    cls = part_class(base.kind, name)
    assert issubclass(cls, base), f"{cls} is registered as {base.kind} and does not derive from {base}"
    fields: Mapping[str, object] = getattr(cls, "__dataclass_fields__", {})
    for key in options:
        if key not in fields:
            raise StudyError(f"{base.kind} '{name}' has no option '{key}': {nearest(key, fields)}")
    try:
        return TypeAdapter(cls).validate_python(dict(options))
    except ValidationError as error:
        raise StudyError(f"{base.kind} '{name}', option {sentence(error, cls)}") from None


def check(kind: str, name: str, options: Mapping[str, object]) -> None:
    """StudyError unless there is such a part and it accepts the options.

    Options of a part whose packages are not installed are not checked; the verb that needs the part says so.
    """
    if name not in names(kind):
        raise StudyError(f"no {kind} is called '{name}': {nearest(name, names(kind))}")
    if options:
        try:
            cls = part_class(kind, name)
        except ModuleNotFoundError:
            return
        build(cls, name, options)


def _from_entry_point(kind: str, entry: EntryPoint) -> type[Part]:
    loaded: object = entry.load()
    if isinstance(loaded, ModuleType):
        return _only_part(kind, loaded.__name__, vars(loaded))
    assert isinstance(loaded, type), f"entry point '{entry.name}' is not a class: {loaded}"
    assert issubclass(loaded, Part), f"entry point '{entry.name}' is not a part: {loaded}"
    return loaded


def _only_part(kind: str, name: str, namespace: Mapping[str, object]) -> type[Part]:
    """The part of a kind among the names of the module called `name`."""
    found = list(_parts(kind, name, namespace))
    assert len(found) == 1, f"{name} defines {len(found)} parts of kind '{kind}', not one"
    return found[0]


def _parts(kind: str, module: str, namespace: Mapping[str, object]) -> Iterator[type[Part]]:
    for value in namespace.values():
        if not isinstance(value, type) or value.__module__ != module or value.__name__.startswith("_"):
            continue
        if issubclass(value, Part) and value.kind == kind and not isabstract(value):
            yield value
