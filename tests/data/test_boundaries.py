"""Windows end at boundaries of all tokenizers: each the longest, against a search over all offsets by other means."""

from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytegap.data.windows import Window, code_point_ends
from bytegap.errors import PlanError
from tests.helpers.made_up_tokenizers import Chunks, encoded

TEXTS = st.one_of(
    st.binary(min_size=1, max_size=200),
    st.text(min_size=1, max_size=90).map(str.encode).filter(len),
    st.lists(st.sampled_from(["ab", " the", "é", " 日本語", "\n", ", x", "🙂"]), min_size=1, max_size=60).map(
        lambda words: "".join(words).encode()
    ),
)
TOKENIZERS = st.lists(st.builds(Chunks, st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=3)


def pieces_between(document, name, start, end):
    """The pieces of `text[start:end]` under one tokenizer, from the offsets of each piece of the document."""
    own = document.encoded[name]
    offsets = [0, *np.cumsum([len(piece) for piece in own.tokenizer.pieces(document.text)]).tolist()]
    inside = [offset for offset in offsets if start <= offset <= end]
    if not inside:
        return own.tokenizer.pieces(document.text[start:end])
    uncut = [document.text[a:b] for a, b in pairwise(inside)]
    head, tail = document.text[start : inside[0]], document.text[inside[-1] : end]
    return [*own.tokenizer.pieces(head), *uncut, *own.tokenizer.pieces(tail)]


def fits(document, start, end):
    eos = end == len(document.text)
    return all(
        len(pieces_between(document, name, start, end)) + eos <= own.seq_len for name, own in document.encoded.items()
    )


def ends_of(document, name):
    return set(np.cumsum([len(piece) for piece in document.encoded[name].tokenizer.pieces(document.text)]).tolist())


def expected(document, start, stop, context, allowed):
    """The window from `start`, by trying every code point boundary; None where none fits."""
    points = set(code_point_ends(document.text).tolist())
    if stop - start <= context and fits(document, start, stop):
        return Window(start, stop)
    limits = []
    for name, own in document.encoded.items():
        ends = sorted(end for end in ends_of(document, name) if end > start)
        within = [end for end in ends if len(pieces_between(document, name, start, end)) <= own.seq_len]
        limits.append(max(within, default=ends[0]))
    inside = sorted(point for point in points if start < point <= min(start + context, stop - 1, *limits))
    if not inside:
        return None
    least = start + ceil(0.75 * (inside[-1] - start))
    usable = [end for end in inside if fits(document, start, end)]
    if good := [end for end in usable if end >= least and end in allowed]:
        return Window(start, max(good))
    if near := [end for end in usable if end >= least]:
        agree = {end: sum(end in ends_of(document, name) for name in document.encoded) for end in near}
        return Window(start, max(near, key=lambda end: (agree[end], end)), is_fallback=True)
    return Window(start, max(usable), is_fallback=True) if usable else None


def all_expected(document, context, allowed):
    """Every window of a document, as far as one fits."""
    found, start, stop = [], 0, len(document.text)
    while start < stop:
        window = expected(document, start, stop, context, allowed)
        if window is None:
            return found, False
        found.append(window)
        start = window.end
    return found, True


@given(TEXTS, TOKENIZERS, st.integers(8, 40), st.lists(st.integers(1, 14), min_size=3, max_size=3), st.booleans())
def test_windows_are_those_of_a_search_over_all_offsets(text, tokenizers, context, seq_lens, at_words):
    document = encoded(text, tokenizers, seq_lens[: len(tokenizers)])
    every = [ends_of(document, name) for name in document.encoded]
    spaces = {i for i in range(1, len(text)) if text[i] in b" \t\n\v\f\r" and text[i - 1] not in b" \t\n\v\f\r"}
    allowed = spaces | {len(text)} if at_words else set.intersection(*every)
    wanted, complete = all_expected(document, context, allowed)
    made = document.windows("words" if at_words else "tokens", context, 0, len(text))
    if not complete:
        with pytest.raises(PlanError, match="lengthen the context"):
            list(made)
        return
    made = list(made)
    assert made == wanted
    assert b"".join(text[window.start : window.end] for window in made) == text
    points = set(code_point_ends(text).tolist())
    for window in made:
        assert window.end in points
        assert window.end - window.start <= context
        assert window.is_fallback or window.end in allowed
        for name, own in document.encoded.items():
            tokens = own.tokens(window.start, window.end)
            spelled = [own.tokenizer.token_bytes[token] for token in tokens]
            assert spelled == pieces_between(document, name, window.start, window.end)
            assert b"".join(spelled) == text[window.start : window.end]
            assert len(tokens) + (window.end == len(text)) <= own.seq_len


class Pieces(Chunks):
    """Known pieces of one text; any other text is a single token."""

    def __init__(self, *pieces):
        super().__init__(1, 1)
        self.known = list(pieces)

    def pieces(self, text):
        return self.known if text == b"".join(self.known) else [text] if text else []


def test_a_window_ends_at_the_last_boundary_of_both_tokenizers():
    """Worked by hand: 10 bytes a window; boundaries of both at 8 and 16 of 20."""
    text = b"the cat sat on a mat"
    one = Pieces(b"the", b" cat ", b"s", b"at on", b" a", b" mat")
    other = Pieces(b"the ", b"cat ", b"sat", b" on a", b" mat")
    document = encoded(text, [one, other], [9, 9])
    windows = list(document.windows("tokens", 10, 0, len(text)))
    assert windows == [Window(0, 8), Window(8, 16), Window(16, 20)]
    spelled = [one.token_bytes[token] for token in document.encoded["0"].tokens(8, 16)]
    assert spelled == [b"s", b"at on", b" a"]


def test_without_a_common_boundary_a_window_ends_where_most_tokenizers_have_one():
    """Two tokenizers agree on 3, 6, 9, ... and a third one is never at a multiple of 3 but the end."""
    text = b"abcdefghijklmnopqrstuvwx"
    threes = [text[i : i + 3] for i in range(0, 24, 3)]
    odd = [text[0:1], *(text[i : i + 3] for i in range(1, 22, 3)), text[22:]]
    document = encoded(text, [Pieces(*threes), Pieces(*threes), Pieces(*odd)], [9, 9, 9])
    windows = list(document.windows("tokens", 10, 0, len(text)))
    assert windows == [Window(0, 9, is_fallback=True), Window(9, 18, is_fallback=True), Window(18, 24)]
    spelled = [document.encoded["2"].tokenizer.token_bytes[t] for t in document.encoded["2"].tokens(9, 18)]
    assert spelled == [b"j", b"klm", b"nop", b"qr"], "parts of cut tokens, encoded by themselves"


def test_words_end_before_white_space():
    text = "in  the\tfield, where écorce grows\n".encode()
    document = encoded(text, [Chunks(1, 1)], [99])
    assert document.word_ends.tolist() == [2, 7, 14, 20, 28, 34, 35]
    made = [text[window.start : window.end] for window in document.windows("words", 14, 0, len(text))]
    assert made == [b"in  the\tfield,", " where écorce".encode(), b" grows\n"]


def test_a_sequence_in_which_no_character_fits_is_refused():
    with pytest.raises(PlanError, match=r"near byte 0 .*lengthen the context"):
        list(encoded("日本".encode(), [Chunks(1, 1)], [2]).windows("tokens", 8, 0, 6))
