"""Bits from nats."""

import math

import pytest

from bytegap.cost.bits import bits, bits_per_byte


def test_bits_of_a_fair_byte():
    assert bits(math.log(256)) == pytest.approx(8)
    assert bits_per_byte(10 * math.log(256), 10) == pytest.approx(8)
    assert bits_per_byte(10 * math.log(2), 20) == pytest.approx(0.5)
