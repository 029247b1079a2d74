"""What is scored of each document: whole windows from a start that depends on seed and text, equal under every edge."""

import numpy as np
import pytest

from bytegap.data.excerpts import ArmTokenizer, Excerpts
from bytegap.data.tokenizers.bytes import ByteTokenizer
from bytegap.data.windows import code_point_ends

WORDS = ["one", "two", "écorce", "日本", "four,", "hundred", "and"]


def document(seed, words=400):
    return " ".join(np.random.default_rng(seed).choice(WORDS, words)).encode()


class Halves:
    """Tokens of a space and a word's first half, and of its second half."""

    def __init__(self):
        self.token_bytes, self.escaped_bytes = [b""], 0

    def encode_batch(self, texts):
        return [np.array([self._token(piece) for piece in self._pieces(text)]) for text in texts]

    def _pieces(self, text):
        for number, word in enumerate(text.decode().split(" ")):
            spaced, middle = " " * (number > 0) + word, (number > 0) + len(word) // 2
            yield from (piece.encode() for piece in (spaced[:middle], spaced[middle:]) if piece)

    def _token(self, piece):
        if piece not in self.token_bytes:
            self.token_bytes.append(piece)
        return self.token_bytes.index(piece)


def excerpts(texts, **changes):
    halves = Halves()
    halves.encode_batch(texts)
    lengths = np.array([*map(len, halves.token_bytes), *[0] * 99])
    fields = {
        "arms": {
            "byte": ArmTokenizer(ByteTokenizer(), np.ones(257, np.int64), 48),
            "halves": ArmTokenizer(halves, lengths, 22),
        },
        "context_bytes": 48,
        "edge": "tokens",
        "most_bytes": 300,
        "seed": 0,
    }
    return Excerpts(**(fields | changes))


@pytest.mark.parametrize("edge", ["tokens", "words", "any"])
def test_whole_windows_of_at_most_so_many_bytes(edge):
    texts = [document(seed) for seed in range(12)]
    made = excerpts(texts, edge=edge)
    others = [other for other in ("tokens", "words", "any") if other != edge]
    for text in texts:
        cut = made.cut(text, others)
        own = cut[edge]
        start, stop = own.starts[0], own.ends[-1]
        assert 300 - 48 < stop - start <= 300
        for windows in cut.values():
            assert windows.text == text[start:stop], "the same text under every edge"
            assert windows.starts[0] == start
            assert np.array_equal(windows.starts[1:], windows.ends[:-1])
            assert windows.ends_document == (stop == len(text))
            assert set(windows.ends.tolist()) <= set(code_point_ends(text).tolist())
        assert start == 0 or text[start : start + 1] == b" ", "where a word starts"


def test_a_short_document_counts_whole():
    text = document(0, words=30)
    assert len(text) < 300
    [windows] = excerpts([text]).cut(text, []).values()
    assert windows.text == text
    assert windows.ends_document
    uncut = document(1)
    assert excerpts([uncut], most_bytes=None).cut(uncut, [])["tokens"].text == uncut


def test_the_start_depends_on_seed_and_text_and_reaches_all_of_a_document():
    text = document(3, words=2000)
    starts = [int(excerpts([text], seed=seed).cut(text, [])["tokens"].starts[0]) for seed in range(60)]
    assert starts[0] == excerpts([text]).cut(text, [])["tokens"].starts[0]
    assert len(set(starts)) > 50
    quarters = np.histogram(starts, bins=4, range=(0, len(text)))[0]
    assert quarters.min() >= 5
