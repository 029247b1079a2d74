"""Base classes of every file on disk: immutable pydantic models that reject unknown keys, and their content hash.

corpus/manifest.json    CorpusManifest      tokens/NAME/manifest.json  TokenizerManifest
tokens/windows.json     WindowsManifest     order-controls.json        OrderControls
pilot.json              Pilot               plan.json              Plan
runs/ID/spec.json       RunSpec             runs/ID/record.json        RunRecord
runs/ID/timings.json    Timings             runs/ID/likelihoods.json   RunLikelihoods
runs.jsonl              RunRow, one per line
jobs.json               Jobs                tuning.jsonl               TuningRunRow, one per line
audit.json              Audit
fit.json                Fit                 probe.json                 Probe
baselines.json          Baselines           lm-eval.json               LmEvalResults
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NoReturn, Self, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

SCHEMA_VERSION = 2
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""A file or folder name without path separators."""

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that cannot be changed after it was made; every method that would change it raises TypeError.

    Compares equal to a plain dict of the same items, is written as a JSON object, and can be pickled and copied.
    """

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("a FrozenDict cannot be changed: build a new one, such as FrozenDict(old | changes)")

    # A dict's own signatures promise what these refuse.
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = _refuse
    setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride] - a dict has none
        """Hash of the items, whose values must be hashable."""
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type["FrozenDict[K, V]"], tuple[dict[K, V]]]:
        """Pickle as a call of the constructor: the default would set items one by one."""
        return type(self), (dict(self),)

    @classmethod
    def __get_pydantic_core_schema__(
        cls,
        source: Any,  # a type expression, which has no type of its own
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        """Validate as the plain dict type, then freeze."""
        key, value = get_args(source) or (Any, Any)
        return core_schema.no_info_after_validator_function(cls, handler.generate_schema(dict[key, value]))


FrozenJson = TypeAliasType(
    "FrozenJson",
    "str | bool | int | float | tuple[FrozenJson, ...] | FrozenDict[str, FrozenJson] | None",
)
"""Any JSON value, immutable at every level: options of an objective, a permutation, a tokenizer, a corpus source."""


def frozen(value: object) -> object:
    """`value` with every list a tuple and every dict a `FrozenDict`, at all levels."""
    if isinstance(value, dict):
        return FrozenDict({key: frozen(each) for key, each in cast("dict[object, object]", value).items()})
    if isinstance(value, (list, tuple)):
        return tuple(frozen(each) for each in cast("list[object]", value))
    return value


def digest(value: object) -> str:
    """SHA-256 of `value` as canonical JSON: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def label(name: str, options: Mapping[str, object]) -> str:
    """A name with its options, for people to read: `block_diffusion (size 4)`; the name alone without options."""
    listed = ", ".join(f"{key} {value}" for key, value in sorted(options.items()))
    return f"{name} ({listed})" if listed else name


class FrozenModel(BaseModel):
    """A pydantic model that cannot be changed, rejects unknown keys, and holds finite numbers only.

    Fields are immutable as well: tuples for sequences, `FrozenDict` for mappings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(  # pydantic's own signature has the Any
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self:
        """A copy with some fields replaced, not validated, but frozen: lists become tuples, dicts `FrozenDict`."""
        return super().model_copy(update={key: frozen(value) for key, value in (update or {}).items()}, deep=deep)


class Record(FrozenModel):
    """The content of one file, or of one line of runs.jsonl."""

    schema_version: Literal[2] = SCHEMA_VERSION
    """Version of the file format."""

    @property
    def content_sha256(self) -> str:
        """SHA-256 of every field."""
        return digest(self.model_dump(mode="json"))


def sha256_without_defaults(record: Record) -> str:
    """SHA-256 of the fields that do not hold their defaults, and of the version.

    A field that a later version adds, with a default, leaves the hash of an earlier record as it was.
    """
    return digest(record.model_dump(mode="json", exclude_defaults=True) | {"schema_version": record.schema_version})


class ArrayFile(FrozenModel):
    """A raw little-endian array, in a file next to the manifest that describes it."""

    file: str = Field(pattern=PLAIN_NAME)
    """File name, in the manifest's folder."""
    dtype: Literal["uint8", "uint16", "uint32", "uint64"]
    length: int
    """Number of elements."""
    sha256: str
    """Of the file's bytes."""

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return self.length * int(self.dtype.removeprefix("uint")) // 8


def arrays_in(value: object) -> Iterator[ArrayFile]:
    """Every array that a record, or a value in one, describes."""
    if isinstance(value, ArrayFile):
        yield value
    elif isinstance(value, FrozenModel):
        for name in type(value).model_fields:
            yield from arrays_in(getattr(value, name))
    elif isinstance(value, (dict, tuple)):
        parts = cast("dict[object, object] | tuple[object, ...]", value)
        for each in parts.values() if isinstance(parts, dict) else parts:
            yield from arrays_in(each)


class Quantity(FrozenModel):
    """An estimate with its 95 % interval; None where the runs do not determine it."""

    value: float | None
    ci95: tuple[float, float] | None = None
