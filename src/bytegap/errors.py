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
from typing import TYPE_CHECKING, Any, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


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
    errno.EBUSY: "it is in use, as the current folder is; name another path",
    errno.ENOTEMPTY: "something was put into it meanwhile; repeat the command",
    errno.ELOOP: "a link points to itself; name another path",
    errno.EIO: "the disk or the network fails; name another path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "free some space; the same command continues where it stopped",
    errno.EDQUOT: "free some space; the same command continues where it stopped",
    errno.EFBIG: "raise the limit on file size, or name another path",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}
"""Errors of the operating system that a user can cause -> how to fix them."""


def file_error(error: OSError, path: object = None) -> FileError | None:
    """An error of the operating system that a user can correct, as one sentence; None for any other, which is a bug.

    It names `path`, or, without one, the file that the system names.
    """
    if error.errno not in _USER_ERRNOS:
        return None
    named = error.filename if path is None else path
    where = f"{named}: " if named is not None else ""
    return FileError(f"{where}{error.strerror}: {_USER_ERRNOS[error.errno]}")


def counted(number: int, noun: str) -> str:
    """A number of things: 1 document, 2,459 windows."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


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
    expected, given = _expected(first, _type_at(model, path)), f"not {first['input']!r}"
    clause = expected if first["type"] in _SAY_IT_ALL else f"{expected}, {given}"
    return f"'{where}': {clause}" if where else clause


_IT_SHOULD_BE = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "a path",
    "dict_type": "a table of keys and values",
    "model_type": "a table of keys and values",
    "model_attributes_type": "a table of keys and values",
    "dataclass_type": "a table of keys and values",
    "literal_error": "{expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
}
"""Type of a failed validation of pydantic -> what the value should be, with pydantic's own values in it."""
_SAY_IT_ALL = {
    "string_pattern_mismatch": "'{input}' is not a name: use letters, digits, dots, dashes and underscores, and begin "
    "with a letter or a digit",  # every pattern of ours is that of a file's name
    "too_short": "give at least {min_length} value{s}",
    "too_long": "give at most {max_length} value{s}",
    "value_error": "{error}",
}
"""The same, as whole clauses, which need no repetition of the value."""


def _expected(error: "ErrorDetails", kind: object) -> str:
    """What a value should be, as a clause; `kind` is the type of its field."""
    own, given = error["type"], error.get("ctx", {})
    context = {name: f"{each:g}" if isinstance(each, float) else each for name, each in given.items()}
    if own in _SAY_IT_ALL:
        plural = "" if 1 in {given.get("min_length"), given.get("max_length")} else "s"
        return _SAY_IT_ALL[own].format(**context, input=error["input"], s=plural)
    if own in {"tuple_type", "list_type"}:
        return f"it should be a list of {_LISTS.get(_item_type(kind), 'values, in square brackets')}"
    if own in _IT_SHOULD_BE:
        return f"it should be {_IT_SHOULD_BE[own].format(**context)}"
    return re.sub(r"^Input", "it", error["msg"])


_LISTS: dict[object, str] = {float: "numbers such as [1e10, 3e10]", str: 'texts such as ["a", "b"]'}
"""Type of an item -> a list of such, for example."""


def _item_type(kind: object) -> object:
    """The type of the items of a list, which may be one of several alternatives."""
    return next((_value_type(each) for each in (kind, *get_args(kind)) if get_origin(each) in {tuple, list}), None)


def _keys(model: type[object], path: Sequence[str]) -> list[str]:
    """The keys of the object at `path` of a `model`; none if no field of a known type is there."""
    kind: Any = _type_at(model, path)
    kind = next((each for each in (kind, *get_args(kind)) if hasattr(each, "model_fields")), None)
    return list(kind.model_fields) if kind else []


def _type_at(model: type[object], path: Sequence[str]) -> object:
    """The type of the value at `path` of a `model`; None where that is not known."""
    kind: Any = model  # a type expression, which has no type of its own
    for part in path:
        fields = getattr(kind, "model_fields", None)
        kind = fields[part].annotation if fields and part in fields else _value_type(kind)
    return kind


def _value_type(kind: object) -> object:
    """What an item of a mapping or a sequence of type `kind` is: the last of its type's arguments."""
    arguments = [each for each in get_args(kind) if each is not Ellipsis]
    return arguments[-1] if arguments else None
