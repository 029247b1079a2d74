"""Training sequences are repeatable and visit every sequence once an epoch; scoring windows have each byte once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytegap.data.train_sequences import TrainSequences, seq_len_for
from bytegap.data.windows import Windows, code_point_ends, window_ends
from bytegap.errors import PlanError

TEXTS = st.one_of(st.binary(min_size=1, max_size=120), st.text(min_size=1).map(str.encode).filter(len))


def at_most(words):
    """Fits if the text has at most so many blank-separated words: shrinks and grows unlike bytes do."""
    return lambda texts, last: [len(text.split(b" ")) + last <= words for text in texts]


@given(TEXTS)
def test_breaks_end_the_document_and_never_split_a_code_point(document):
    ends = code_point_ends(document)
    assert ends[-1] == len(document)
    assert np.all(np.diff(ends) >= 1)
    pieces = [document[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    assert b"".join(pieces) == document
    for piece in pieces:
        assert len(piece) == 1 or len(piece.decode()) == 1


@given(TEXTS, st.integers(8, 40), st.integers(2, 12))
def test_windows_cover_each_byte_once_and_are_the_longest_that_fit(document, context, words):
    fits = at_most(words)
    ends = list(window_ends(document, context, fits))
    assert ends[-1] == len(document)
    allowed = set(code_point_ends(document).tolist())
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        assert start < end <= start + context
        last = end == len(document)
        assert fits([document[start:end]], last)[0]
        longer = [e for e in allowed if end < e <= start + context]
        assert not any(fits([document[start:e]], e == len(document))[0] for e in longer)


def test_a_text_of_which_nothing_fits_is_refused():
    with pytest.raises(PlanError, match="lengthen the context"):
        list(window_ends(b"abc", 8, lambda texts, _: [False] * len(texts)))


def test_row_length_holds_the_context_on_average():
    assert seq_len_for(256, 1.0, "byte") == 256
    assert seq_len_for(256, 2.93, "bpe") == 87
    with pytest.raises(PlanError, match="more than 1 % from"):
        seq_len_for(8, 3.3, "bpe")


def test_an_epoch_visits_every_row_once_in_an_order_of_its_own():
    rows = TrainSequences(np.arange(100, dtype=np.uint16), 7, seed=3)
    epoch = np.concatenate([rows.batch(step, 2)[0][:, 0] for step in range(7)]) // 7
    assert sorted(epoch) == list(range(14))
    second = np.concatenate([rows.batch(step, 2)[0][:, 0] for step in range(7, 14)]) // 7
    assert sorted(second) == list(range(14))
    assert list(epoch) != list(second)


def test_a_batch_depends_on_seed_and_step_alone():
    stream = np.arange(1000, dtype=np.uint16)
    walked = TrainSequences(stream, 9, seed=1)
    for step in range(40):
        expected = walked.batch(step, 4)[0]
    assert np.array_equal(TrainSequences(stream, 9, seed=1).batch(39, 4)[0], expected)
    assert not np.array_equal(TrainSequences(stream, 9, seed=2).batch(39, 4)[0], expected)


def test_a_text_shorter_than_a_row_is_refused():
    with pytest.raises(PlanError, match="shorten the context or add text"):
        TrainSequences(np.arange(5, dtype=np.uint8), 6, seed=0)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_windows_by_length_are_all_windows(counts):
    total = sum(counts)
    windows = Windows(np.arange(total, dtype=np.uint32), np.array(counts, np.uint32), total, "")
    found = {}
    for which, tokens in windows.by_length():
        found |= {int(index): row.tolist() for index, row in zip(which, tokens, strict=True)}
    assert [s for index in range(len(counts)) for s in found[index]] == list(range(total))
