"""What each byte of a text is: of which script its letter, or what else; which part of a UTF-8 sequence."""

import unicodedata
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bytegap.windows import breaks

_LETTERS = {"L": None, "M": None, "N": "digit", "Z": "space", "P": "punctuation", "S": "symbol", "C": "control"}
_STRAY = "not UTF-8"


def by_script(text: bytes) -> NDArray[np.str_]:
    """Of each byte, (bytes,): the script of its letter, named as Unicode names letters ("latin", "cjk"), or what it is.

    A combining mark goes with "mark", a byte of no code point with "not UTF-8".
    """
    return _of_points(text, _script)


def by_place(text: bytes) -> NDArray[np.str_]:
    """Of each byte, (bytes,): "ASCII", the "first" of a longer UTF-8 sequence, one of its "further" ones, or stray."""
    ends = breaks(text)
    widths = np.diff(ends, prepend=0)
    stray = _of_points(text, lambda point: _STRAY if _is_stray(point) else "") == _STRAY
    place = np.full(len(text), "further", dtype="U9")
    place[(ends - widths)[widths > 1]] = "first"
    place[np.frombuffer(text, np.uint8) < 0x80] = "ASCII"
    place[stray] = _STRAY
    return place


def _of_points(text: bytes, name: Callable[[int], str]) -> NDArray[np.str_]:
    """A name of every code point, one for each of its bytes."""
    if not text:
        return np.empty(0, "U1")
    points = np.frombuffer(text.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), np.uint32)
    known, which = np.unique(points, return_inverse=True)
    names = np.array([name(int(point)) for point in known])
    return np.repeat(names[which], np.diff(breaks(text), prepend=0))


def _is_stray(point: int) -> bool:
    return 0xDC80 <= point <= 0xDCFF  # as `surrogateescape` writes a byte that belongs to no sequence


def _script(point: int) -> str:
    if _is_stray(point):
        return _STRAY
    letter = chr(point)
    if letter.isspace():
        return "space"
    kind = unicodedata.category(letter)[0]
    if kind == "M":
        return "mark"
    return _LETTERS[kind] or unicodedata.name(letter, "unnamed").split()[0].split("-")[0].lower()
