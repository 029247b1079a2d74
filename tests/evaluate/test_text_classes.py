"""Classes of bytes, corruptions and UTF-8 validity, on text of several scripts."""

import unicodedata

import numpy as np

from bytegap.evaluate.byte_classes import by_script, by_utf8_role
from bytegap.evaluate.corruption import corrupt
from bytegap.evaluate.utf8_validity import invalid_bytes
from tests.evaluate.texts import MIXED


def test_classes_are_those_of_each_code_point():
    script, role = by_script(MIXED), by_utf8_role(MIXED)
    expected_script, expected_role = [], []
    for point in MIXED.decode("utf-8", "surrogateescape"):
        size = len(point.encode("utf-8", "surrogateescape"))
        invalid = 0xDC80 <= ord(point) <= 0xDCFF
        expected_role += ["not UTF-8"] if invalid else ["ASCII"] if size == 1 else ["first", *["further"] * (size - 1)]
        name = "not UTF-8" if invalid else "space" if point.isspace() else unicodedata.name(point).split()[0].lower()
        names = {"digit": "digit", "comma": "punctuation", "combining": "mark", "grinning": "symbol"}
        expected_script += [names.get(name, name)] * size
    assert script.tolist() == expected_script
    assert role.tolist() == expected_role
    assert {"latin", "cjk", "cyrillic", "mark"} <= set(script.tolist())
    assert len(by_script(b"")) == len(by_utf8_role(b"")) == 0


def test_corruptions_change_the_chosen_share_of_bytes():
    text = MIXED * 500
    deleted = corrupt(text, "delete", 0.1, 0)
    assert 0.08 < 1 - len(deleted) / len(text) < 0.12
    rest = iter(text)
    assert all(byte in rest for byte in deleted), "the remaining bytes are in order"
    transposed = corrupt(text, "transpose", 0.1, 0)
    assert sorted(transposed) == sorted(text)
    moved = np.flatnonzero(np.frombuffer(transposed, np.uint8) != np.frombuffer(text, np.uint8))
    assert 0.1 < len(moved) / len(text) < 0.2
    flipped = corrupt(text, "case_flip", 0.1, 0)
    assert flipped != text
    assert flipped.lower() == text.lower()


def test_invalid_bytes_are_those_of_no_code_point():
    assert invalid_bytes(MIXED) == 2
    assert invalid_bytes("\u4e2d".encode()[:2]) == 0, "cut by the end"
    assert invalid_bytes(b"\x80\x80") == 2
    assert invalid_bytes(b"") == 0
