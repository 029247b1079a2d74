"""Orders: every one that exists is undone exactly, moves what it says, and depends on nothing but its key."""

import numpy as np
import pytest

from bytegap import plugins
from bytegap.errors import StudyError
from bytegap.orders import blocks, fixed, window

ORDERS = sorted(plugins.names("orders"))
S = 24
TOLD = {
    "window": [{"size": size, "fresh": fresh} for size in (1, 2, 8, 24) for fresh in (False, True)],
    "blocks": [{"size": size, "fresh": fresh} for size in (1, 3, 24) for fresh in (False, True)],
}
CASES = [(name, told) for name in ORDERS for told in TOLD.get(name, [{}])]


def rows(symbols, number=5):
    return np.random.default_rng(symbols).integers(0, 200, (number, symbols))


@pytest.mark.parametrize("symbols", [24, 23, 9, 1])
@pytest.mark.parametrize(("name", "told"), CASES)
def test_an_order_loses_nothing_and_is_undone(name, told, symbols):
    order, options = plugins.load("orders", name), plugins.options("orders", name, told)
    given, keys = rows(symbols), np.arange(5) + 70
    changed = order.permute(given, keys, options)
    assert np.array_equal(np.sort(changed, 1), np.sort(given, 1))
    assert np.array_equal(order.restore(changed, keys, options), given)
    assert np.array_equal(order.permute(given[2:], keys[2:], options), changed[2:])


def test_windows_of_one_are_the_identity_and_others_are_not():
    keys = np.arange(5)
    assert np.array_equal(window.permute(rows(S), keys, window.Options(size=1)), rows(S))
    assert not np.array_equal(window.permute(rows(S), keys, window.Options(size=8)), rows(S))


@pytest.mark.parametrize("fresh", [False, True])
def test_a_symbol_stays_in_its_window(fresh):
    places = np.tile(np.arange(S), (5, 1))
    moved = window.permute(places, np.arange(5), window.Options(size=8, fresh=fresh))
    assert np.array_equal(moved // 8, places // 8)
    windows = moved.reshape(-1, 8) % 8
    assert len(np.unique(windows, axis=0)) == (15 if fresh else 1)


def test_blocks_keep_what_is_in_them():
    places = np.tile(np.arange(S), (5, 1))
    moved = blocks.permute(places, np.arange(5), blocks.Options(size=3))
    assert np.array_equal(np.diff(moved.reshape(-1, 3), axis=1), np.ones((40, 2)))
    assert not np.array_equal(moved, places)


def test_a_fixed_order_is_one_for_all_rows_and_lengths():
    places = np.tile(np.arange(S), (5, 1))
    moved = fixed.permute(places, np.arange(5), fixed.Options())
    assert (moved == moved[0]).all()
    shorter = fixed.permute(places[:, :9], np.arange(5), fixed.Options())[0]
    assert np.array_equal(shorter, moved[0][moved[0] < 9])


@pytest.mark.parametrize("order", [window, blocks])
def test_what_does_not_divide_a_row_is_named_with_its_mend(order):
    order.check(24, order.Options(size=8))
    with pytest.raises(StudyError, match=r"of 7 do not divide a row of 24 symbols: 6 or 8 would"):
        order.check(24, order.Options(size=7))
    with pytest.raises(StudyError, match=r"of 30 do not divide a row of 24 symbols: 24 would"):
        order.check(24, order.Options(size=30))


def test_fresh_windows_add_the_bits_of_their_order():
    assert window.added_bits(window.Options(size=2, fresh=True)) == pytest.approx(0.5)
    assert window.added_bits(window.Options(size=4, fresh=True)) == pytest.approx(np.log2(24) / 4)
    assert window.added_bits(window.Options(size=4)) == 0
