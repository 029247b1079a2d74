"""Floors against direct computation."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytegap.data import ngrams

OUTCOMES = 4
TOKENS = st.lists(st.integers(0, OUTCOMES - 1), min_size=2, max_size=60)


@given(TOKENS, TOKENS)
def test_unigram_is_add_one(stream, text):
    counts = Counter(stream)
    expected = -sum(math.log((counts[s] + 1) / (len(stream) + OUTCOMES)) for s in text)
    found = ngrams.NgramCounts([np.array(stream, np.uint8)], OUTCOMES).unigram_nats(np.array(text, np.uint8))
    assert found == pytest.approx(expected)


@given(TOKENS, TOKENS, st.integers(1, 5))
def test_bigram_is_witten_bell_and_windows_start_alone(stream, text, window):
    alone = {s: (Counter(stream)[s] + 1) / (len(stream) + OUTCOMES) for s in range(OUTCOMES)}
    after = {x: Counter(y for a, y in itertools.pairwise(stream) if a == x) for x in range(OUTCOMES)}

    def p(x, y):
        kinds, total = len(after[x]), sum(after[x].values())
        return (after[x][y] + kinds * alone[y]) / (total + kinds) if total else alone[y]

    for x in range(OUTCOMES):
        assert sum(p(x, y) for y in range(OUTCOMES)) == pytest.approx(1)
    counts = [window] * (len(text) // window)
    if rest := len(text) % window:
        counts.append(rest)
    expected, index = 0.0, 0
    for count in counts:
        piece = text[index : index + count]
        expected -= math.log(alone[piece[0]])
        expected -= sum(math.log(p(x, y)) for x, y in itertools.pairwise(piece))
        index += count
    for most in (OUTCOMES, OUTCOMES - 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ngrams, "_DENSE_OUTCOMES", most)
            counted = ngrams.NgramCounts([np.array(stream, np.uint8)], OUTCOMES)
        found = counted.bigram_nats(np.array(text, np.uint8), np.array(counts, np.uint32))
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("most", [OUTCOMES, OUTCOMES - 1], ids=["dense", "sparse"])
def test_pairs_across_pieces_are_counted_once(monkeypatch, most):
    stream, text = np.arange(50, dtype=np.uint8) % 4, np.array([0, 1, 2, 3], np.uint8)
    at_once = ngrams.NgramCounts([stream], OUTCOMES).bigram_nats(text, np.array([4]))
    monkeypatch.setattr(ngrams, "_DENSE_OUTCOMES", most)
    pieces = [stream[start : start + 7] for start in range(0, 50, 7)]
    assert ngrams.NgramCounts(pieces, OUTCOMES).bigram_nats(text, np.array([4])) == pytest.approx(at_once)


def test_count_entropy_is_zero_if_bytes_fix_the_count_and_one_bit_for_a_coin():
    n_bytes = np.arange(1000) % 7 + 1
    assert ngrams.count_entropy_bits(2 * n_bytes, n_bytes) == pytest.approx(0)
    coin = np.random.default_rng(0).integers(0, 2, 1000)
    assert ngrams.count_entropy_bits(2 * n_bytes + coin, n_bytes) == pytest.approx(1, abs=0.02)
