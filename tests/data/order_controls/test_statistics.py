"""Mutual information against sources whose I(d) is known in closed form."""

import numpy as np
import pytest

from bytegap.data import mutual_information as statistics


def markov(fresh_A, keep, length):
    """A chain that goes to the next state with probability `keep`, else to one of `fresh_A`: its path, its matrix."""
    states, generator = len(fresh_A), np.random.default_rng(0)
    drawn = generator.choice(states, length, p=fresh_A).astype(np.int32)
    anew = generator.random(length) >= keep
    anew[0] = True
    indices = np.arange(length, dtype=np.int32)
    since = np.maximum.accumulate(np.where(anew, indices, 0))
    path = ((drawn[since] + indices - since) % states).astype(np.uint8)
    return path, keep * np.roll(np.eye(states), 1, 1) + (1 - keep) * fresh_A


def stationary(transition_AA):
    values, vectors = np.linalg.eig(transition_AA.T)
    first = np.real(vectors[:, np.argmax(np.real(values))])
    return first / first.sum()


def closed_form(transition_AA, d):
    """I(X_0; X_d) of the chain in bits."""
    start_A = stationary(transition_AA)
    ahead_AA = np.linalg.matrix_power(transition_AA, d)
    joint_AA = start_A[:, None] * ahead_AA
    return float((joint_AA * np.log2(joint_AA / (start_A[:, None] * (start_A @ ahead_AA)))).sum())


@pytest.mark.parametrize(("states", "keep"), [(4, 0.8), (12, 0.6)])
def test_information_of_a_markov_chain(states, keep):
    text, transition_AA = markov(np.random.default_rng(states).dirichlet(np.ones(states)), keep, 12_000_000)
    at = statistics.distances(1024)
    found = statistics.mutual_information(text, at)
    for d, bits in zip(at, found, strict=True):
        truth = closed_form(transition_AA, d)
        assert bits == pytest.approx(truth, rel=0.02 if truth > 0.01 else 0, abs=0 if truth > 0.01 else 2e-4)
    assert found[0] > 0.5
    assert at[-1] == 1024


def test_without_the_correction_a_random_text_would_have_information():
    text = np.random.default_rng(0).integers(0, 256, 300_000).astype(np.uint8)
    raw = statistics.information_bits(statistics.pairs(text, 3))
    assert raw == pytest.approx(255**2 / (2 * 300_000 * np.log(2)), rel=0.1)  # Miller's bias
    assert abs(statistics.mutual_information(text, [3])[0]) < 2e-3


def test_distances_are_dense_near_and_end_at_the_longest():
    assert statistics.distances(5) == [1, 2, 3, 4, 5]
    at = statistics.distances(1024)
    assert at[:16] == list(range(1, 17))
    assert at[-1] == 1024
    assert len(at) < 80


def test_pairs_overlap_from_nothing_to_all():
    one, other = np.frombuffer(b"abababab", np.uint8), np.frombuffer(b"cccccccc", np.uint8)
    assert statistics.overlap(statistics.pairs(one, 1), statistics.pairs(one, 1)) == pytest.approx(1)
    assert statistics.overlap(statistics.pairs(one, 1), statistics.pairs(other, 1)) == 0
    assert statistics.pairs(one, 1)[ord("a"), ord("b")] == 4
