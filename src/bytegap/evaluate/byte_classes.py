"""Classes of the bytes of a text: the script of the letter that a byte belongs to, and its role in UTF-8."""

import unicodedata
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bytegap.data.windows import code_point_ends

_CATEGORIES = {"N": "digit", "Z": "space", "P": "punctuation", "S": "symbol", "C": "control", "M": "mark"}
"""By the first letter of a general category of Unicode; letters (L) go by their script."""
_INVALID = "not UTF-8"


def by_script(text: bytes) -> NDArray[np.str_]:
    """For each byte, (bytes,): the script of its letter in Unicode's names ("latin", "cjk"), or what else it is.

    Combining marks are "mark", bytes that belong to no code point "not UTF-8".
    """
    return _by_code_point(text, _script)


def by_utf8_role(text: bytes) -> NDArray[np.str_]:
    """For each byte, (bytes,): "ASCII", "first" or "further" byte of a longer UTF-8 sequence, or "not UTF-8"."""
    ends = code_point_ends(text)
    widths = np.diff(ends, prepend=0)
    invalid = _by_code_point(text, lambda point: _INVALID if _is_invalid(point) else "") == _INVALID
    role = np.full(len(text), "further", dtype="U9")
    role[(ends - widths)[widths > 1]] = "first"
    role[np.frombuffer(text, np.uint8) < 0x80] = "ASCII"
    role[invalid] = _INVALID
    return role


def _by_code_point(text: bytes, name: Callable[[int], str]) -> NDArray[np.str_]:
    """The name of each code point, once for each of its bytes."""
    if not text:
        return np.empty(0, "U1")
    points = np.frombuffer(text.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), np.uint32)
    distinct, index = np.unique(points, return_inverse=True)
    names = np.array([name(int(point)) for point in distinct])
    return np.repeat(names[index], np.diff(code_point_ends(text), prepend=0))


def _is_invalid(point: int) -> bool:
    return 0xDC80 <= point <= 0xDCFF  # how `surrogateescape` decodes a byte that belongs to no code point


def _script(point: int) -> str:
    if _is_invalid(point):
        return _INVALID
    letter = chr(point)
    if letter.isspace():
        return "space"
    name = _CATEGORIES.get(unicodedata.category(letter)[0])
    return name or unicodedata.name(letter, "unnamed").split()[0].split("-")[0].lower()
