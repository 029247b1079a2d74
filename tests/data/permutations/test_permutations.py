"""Permutations: every one is inverted exactly, moves what it should, and depends on its key alone."""

import numpy as np
import pytest

from bytegap.data.permutations.base import permutation
from bytegap.data.permutations.block_shuffle import BlockShuffle
from bytegap.data.permutations.fixed import Fixed
from bytegap.data.permutations.within_window import WithinWindow
from bytegap.errors import StudyError
from bytegap.study import registry

S = 24
OPTIONS = {
    "within_window": [{"size": size, "per_sequence": own} for size in (1, 2, 8, 24) for own in (False, True)],
    "block_shuffle": [{"size": size, "per_sequence": own} for size in (1, 3, 24) for own in (False, True)],
}
CASES = [(name, options) for name in sorted(registry.names("permutation")) for options in OPTIONS.get(name, [{}])]


def random_rows(seq_len, number=5):
    return np.random.default_rng(seq_len).integers(0, 200, (number, seq_len))


@pytest.mark.parametrize("seq_len", [24, 23, 9, 1])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_restore_inverts_permute_and_each_row_depends_on_its_key(name, options, seq_len):
    part = permutation(name, options)
    rows, keys = random_rows(seq_len), np.arange(5) + 70
    permuted = part.permute(rows, keys)
    assert np.array_equal(np.sort(permuted, 1), np.sort(rows, 1))
    assert np.array_equal(part.restore(permuted, keys), rows)
    assert np.array_equal(part.permute(rows[2:], keys[2:]), permuted[2:])
    assert part.is_identity == (name == "identity")


def test_windows_of_one_token_are_the_identity_and_longer_ones_are_not():
    keys = np.arange(5)
    assert np.array_equal(WithinWindow(size=1).permute(random_rows(S), keys), random_rows(S))
    assert not np.array_equal(WithinWindow(size=8).permute(random_rows(S), keys), random_rows(S))


@pytest.mark.parametrize("per_sequence", [False, True])
def test_tokens_stay_in_their_window(per_sequence):
    indices = np.tile(np.arange(S), (5, 1))
    permuted = WithinWindow(size=8, per_sequence=per_sequence).permute(indices, np.arange(5))
    assert np.array_equal(permuted // 8, indices // 8)
    windows = permuted.reshape(-1, 8) % 8
    assert len(np.unique(windows, axis=0)) == (15 if per_sequence else 1)


def test_blocks_are_moved_intact():
    indices = np.tile(np.arange(S), (5, 1))
    permuted = BlockShuffle(size=3).permute(indices, np.arange(5))
    assert np.array_equal(np.diff(permuted.reshape(-1, 3), axis=1), np.ones((40, 2)))
    assert not np.array_equal(permuted, indices)


def test_a_fixed_permutation_is_the_same_for_all_rows_and_consistent_across_lengths():
    indices = np.tile(np.arange(S), (5, 1))
    permuted = Fixed().permute(indices, np.arange(5))
    assert (permuted == permuted[0]).all()
    shorter = Fixed().permute(indices[:, :9], np.arange(5))[0]
    assert np.array_equal(shorter, permuted[0][permuted[0] < 9])


@pytest.mark.parametrize("part", [WithinWindow, BlockShuffle])
def test_a_size_that_does_not_divide_the_sequence_is_refused_with_suggestions(part):
    part(size=8).check(24)
    with pytest.raises(StudyError, match=r"of 7 do not divide a sequence of 24 tokens; try 6 or 8"):
        part(size=7).check(24)
    with pytest.raises(StudyError, match=r"of 30 do not divide a sequence of 24 tokens; try 24"):
        part(size=30).check(24)


def test_windows_permuted_per_sequence_add_the_entropy_of_their_order():
    assert WithinWindow(size=2, per_sequence=True).added_bits() == pytest.approx(0.5)
    assert WithinWindow(size=4, per_sequence=True).added_bits() == pytest.approx(np.log2(24) / 4)
    assert WithinWindow(size=4).added_bits() == 0
