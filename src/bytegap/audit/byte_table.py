"""A table of bytes per token as training loops keep it: read without running anything in the file, and written.

One number for each id, in order:

- `.npy`, `.pt` (with torch): the array; `.json`: a list, or an object by id; `.csv`: rows `id,bytes`, or one number.
- `.npz`: an array `token_bytes`, or the only array in it.
- `.npz` or `.pt` with `base_bytes` and `has_leading_space`: a token counts its leading space only where the token
  before it is not a boundary, as in the loops of openai/parameter-golf. A suffix `_lut` of the names is allowed.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import BytegapError, TokenizerError, file_error
from bytegap.extras import missing_extra
from bytegap.io.atomic import write_bytes

MOST_ENTRIES = 1 << 24
"""More than any vocabulary has."""


@dataclass(frozen=True)
class ByteTable:
    """Bytes of each id by somebody's count."""

    base: NDArray[np.float64]
    """(entries,): counted wherever the token is."""
    leading_space: NDArray[np.bool_] | None = None
    """(entries,): whether one byte more is counted where the token before is not a boundary; None: never."""

    @property
    def inside_text(self) -> NDArray[np.float64]:
        """(entries,): bytes of a token whose neighbour before it is text."""
        return self.base if self.leading_space is None else self.base + self.leading_space


def read_table(path: Path) -> ByteTable:
    """The table in a file; TokenizerError where it is not one, or an entry is negative or not finite."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise TokenizerError(f"{path}: a table of bytes per token is a file {', '.join(_READERS)}: save it as one")
    try:
        arrays = reader(path)
    except BytegapError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes numpy, zipfile and torch raise errors of any type
        if isinstance(error, OSError) and (refused := file_error(error, path)):
            raise refused from None
        raise TokenizerError(f"{path} cannot be read as a table of bytes per token ({str(error)[:200]})") from None
    return _table(path, arrays)


def write_table(path: Path, entries: list[int]) -> None:
    """Write one number for each id; TokenizerError for an ending that is not written."""
    array = np.array(entries, np.int64)
    if path.suffix == ".npz":
        data = io.BytesIO()
        np.savez(data, token_bytes=array)
    elif path.suffix == ".npy":
        data = io.BytesIO()
        np.save(data, array)
    elif path.suffix == ".json":
        data = io.BytesIO(json.dumps(entries).encode())
    elif path.suffix == ".csv":
        data = io.BytesIO("".join(f"{i},{n}\n" for i, n in [("id", "bytes"), *enumerate(entries)]).encode())
    else:
        raise TokenizerError(f"--write {path}: the ending says how it is written: use .npz, .npy, .json or .csv")
    write_bytes(path, data.getvalue())


def _table(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> ByteTable:
    named = {name.removesuffix("_lut"): array for name, array in arrays.items()}
    if "token_bytes" in named or len(named) == 1:
        return ByteTable(_numbers(path, named.get("token_bytes", next(iter(named.values())))))
    if "base_bytes" not in named:
        raise TokenizerError(
            f"{path} holds the arrays {', '.join(sorted(named)) or '(none)'}: name the one that has the bytes of each "
            "token 'token_bytes'"
        )
    base = _numbers(path, named["base_bytes"])
    if "has_leading_space" not in named:
        return ByteTable(base)
    space = _numbers(path, named["has_leading_space"])
    if space.shape != base.shape or not np.isin(space, (0, 1)).all():
        raise TokenizerError(f"{path}: 'has_leading_space' must hold one 0 or 1 for each of {len(base)} 'base_bytes'")
    return ByteTable(base, space.astype(bool))


def _numbers(path: Path, array: NDArray[np.generic]) -> NDArray[np.float64]:
    if array.dtype.kind not in "biuf" or array.ndim != 1 or not 0 < array.size <= MOST_ENTRIES:
        raise TokenizerError(
            f"{path}: a table of bytes per token is a list of numbers, one for each id, and this is {array.dtype} of "
            f"shape {array.shape}"
        )
    numbers = array.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
    if len(wrong):
        raise TokenizerError(
            f"{path}: the entry of id {wrong[0]} is {numbers[wrong[0]]}, which is no number of bytes "
            f"({len(wrong):,} such entries): correct them"
        )
    return numbers


def _npy(path: Path) -> dict[str, NDArray[np.generic]]:
    return {"token_bytes": np.load(path, allow_pickle=False)}


def _npz(path: Path) -> dict[str, NDArray[np.generic]]:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("a .npy file, to be named so")  # noqa: TRY004 - wrong data, not a wrong type
        arrays: dict[str, NDArray[np.generic]] = {name: file[name] for name in file.files}
    return {name: array for name, array in arrays.items() if array.dtype.kind in "biuf" and array.ndim == 1}


def _pt(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise missing_extra(f"reading {path}", error) or error from None
    saved: object = torch.load(path, map_location="cpu", weights_only=True)
    tensors = cast("dict[object, object]", saved) if isinstance(saved, dict) else {"token_bytes": saved}
    found = {str(name): each for name, each in tensors.items() if isinstance(each, torch.Tensor)}
    return {name: tensor.to(torch.float64).numpy() for name, tensor in found.items() if not tensor.is_complex()}


def _json(path: Path) -> dict[str, NDArray[np.generic]]:
    value: object = json.loads(path.read_bytes())
    if isinstance(value, dict):
        by_id = {int(key): number for key, number in cast("dict[str, object]", value).items()}
        return {"token_bytes": _by_id(by_id)}
    return {"token_bytes": np.array(value)}


def _csv(path: Path) -> dict[str, NDArray[np.generic]]:
    rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
    if rows and not rows[0][-1].strip().replace(".", "", 1).isdigit():
        rows = rows[1:]  # the heading
    if all(len(row) == 1 for row in rows):
        return {"token_bytes": np.array([float(number) for [number] in rows])}
    by_id = {int(row[0]): float(row[-1]) for row in rows}
    if len(by_id) < len(rows):
        raise ValueError("an id occurs twice")
    return {"token_bytes": _by_id(by_id)}


def _by_id(numbers: Mapping[int, object]) -> NDArray[np.float64]:
    """An array of numbers by their ids; ValueError if an id is missing."""
    missing = next((i for i in range(len(numbers)) if i not in numbers), None)
    if missing is not None:
        raise ValueError(f"id {missing} is missing")
    return np.array([numbers[i] for i in range(len(numbers))], np.float64)


_READERS: dict[str, Callable[[Path], dict[str, NDArray[np.generic]]]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".pt": _pt,
    ".json": _json,
    ".csv": _csv,
}
