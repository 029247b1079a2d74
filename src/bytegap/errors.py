"""Errors that the user can correct. Each is one sentence: what is wrong, where, and how to fix it; exit code 2.

BytegapError
+-- StudyError       the study file: an unknown key, a value out of range, a plug-in that does not exist
+-- CorpusError      the text: none found, not in the format of its file name, too little held out
+-- TokenizerError   a vocabulary that cannot be read, or cannot represent the text
+-- PlanError        a budget that no model size fits, a context longer than the text
+-- StudyDirError    the study folder: a stage not run yet, a file torn or altered
+-- FlopsError       a model configuration whose FLOPs cannot be counted
+-- ModelError       a model that cannot be loaded or exported, or whose output is not finite
+-- FitError         too few runs, or runs that do not identify what is estimated
+-- EvaluateError    nothing to evaluate, no text to evaluate on, a missing compressor
+-- GenerateError    a text that the model cannot generate, or continue
+-- CodecError       a compressed file that is damaged, or of another run or machine
+-- CommandError     a command line whose arguments do not go together, or a verb that was renamed
+-- FileError        a file or folder that the operating system refuses to read or write
+-- MissingExtraError  a package of an optional extra is not installed
"""

import errno
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import ValidationError


class BytegapError(Exception):
    """Base of every error that the user can correct."""


class StudyError(BytegapError):
    """The study file is wrong."""


class CorpusError(BytegapError):
    """The text cannot be used."""


class TokenizerError(BytegapError):
    """A vocabulary cannot be used, or not on this text."""


class PlanError(BytegapError):
    """No plan satisfies the study."""


class StudyDirError(BytegapError):
    """The study folder does not hold what is needed, or a file in it is damaged."""


class FlopsError(BytegapError):
    """The FLOPs of a model's configuration cannot be counted."""


class ModelError(BytegapError):
    """A model cannot be loaded or exported, or what it returns is not finite."""


class FitError(BytegapError):
    """The runs do not identify what is to be estimated."""


class EvaluateError(BytegapError):
    """There is nothing to evaluate, or something needed for it is missing."""


class GenerateError(BytegapError):
    """The model cannot generate the text that is wanted."""


class CodecError(BytegapError):
    """A compressed file cannot be decompressed."""


class CommandError(BytegapError):
    """The arguments of a command do not go together, or name a verb that does not exist."""


class FileError(BytegapError):
    """The operating system refuses to read or write a file or folder."""


class MissingExtraError(BytegapError):
    """A package of an optional extra is not installed."""


_USER_ERRNOS = {
    errno.EACCES: "check the permissions, or name another path",
    errno.EPERM: "check the permissions, or name another path",
    errno.EROFS: "it is on a read-only file system; name another path",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOTDIR: "a part of the path is a file; name a folder",
    errno.ENOENT: "check the path",
    errno.EEXIST: "it is in the way; move it, or name another path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "free some space; the same command continues where it stopped",
    errno.EDQUOT: "free some space; the same command continues where it stopped",
    errno.EFBIG: "raise the limit on file size, or name another path",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}
"""Errors of the operating system that a user can cause -> how to fix them."""


def file_error(error: OSError) -> FileError | None:
    """An error of the operating system that a user can correct, as one sentence; None for any other, which is a bug."""
    if error.errno not in _USER_ERRNOS:
        return None
    where = f"{error.filename}: " if error.filename is not None else ""
    return FileError(f"{where}{error.strerror}: {_USER_ERRNOS[error.errno]}")


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause for a misspelt `word`: the most similar known one, or all of them if none is similar."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"


def sentence(error: "ValidationError", model: type[object]) -> str:
    """What is wrong first in a failed validation, as one clause: the key, the error, the nearest key.

    `model` is the pydantic model or dataclass that was validated. A misspelt required key is two errors, one unknown
    key and one missing: the unknown one is reported.
    """
    errors = error.errors()
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    path = [str(part) for part in first["loc"]]
    where = ".".join(path)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{where}': {nearest(path[-1], _keys(model, path[:-1]))}"
    if first["type"] == "missing":
        return f"'{where}' is missing"
    expected = re.sub(r"^Input", "it", first["msg"])
    return f"'{where}': {expected}, not {first['input']!r}" if where else f"{expected}, not {first['input']!r}"


def _keys(model: type[object], path: Sequence[str]) -> list[str]:
    """The keys of the object at `path` of a `model`; none if no field of a known type is there."""
    kind: Any = model  # a type expression, which has no type of its own
    for part in path:
        fields = getattr(kind, "model_fields", None)
        kind = fields[part].annotation if fields and part in fields else _value_type(kind)
    kind = next((each for each in (kind, *get_args(kind)) if hasattr(each, "model_fields")), None)
    return list(kind.model_fields) if kind else []


def _value_type(kind: object) -> object:
    """What an item of a mapping or a sequence of type `kind` is: the last of its type's arguments."""
    arguments = [each for each in get_args(kind) if each is not Ellipsis]
    return arguments[-1] if arguments else None
