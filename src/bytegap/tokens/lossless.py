"""What makes any vocabulary lossless on any bytes: the one mechanism that every kind of tokens shares.

Valid UTF-8 stretches go to the vocabulary's own segmentation, all other bytes become single-byte symbols. What the
vocabulary gives back is compared, byte for byte, with what it was given. A stretch that was altered (a normaliser, an
unknown symbol, U+2581 in SentencePiece) is cut into lines, words, code points, and only what still does not survive
alone is escaped: written as single-byte symbols. Symbols that stand for no text are never produced.
"""

import re
from array import array
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import TokensError

Segment = Callable[[list[str]], list[list[int]]]
"""A vocabulary's own segmentation of each of several texts."""

# An undecodable byte, as `surrogateescape` writes it.
_RAW = re.compile("([\udc80-\udcff]+)")

# Ever finer cuts of a stretch that did not survive. White space opens a word, as it does in every common vocabulary.
_CUTS = (re.compile(r"[^\n]+|\n+"), re.compile(r" ?\S+|\s"), re.compile(r".", re.DOTALL))

_ORDINARY_TEXT = "The State of the Union, in 1790: it's a plain text, by George Washington."


class Lossless:
    """A vocabulary made lossless; a `Tokenizer`."""

    def __init__(self, vocabulary: str, symbol_bytes: list[bytes], segment: Segment) -> None:
        """Refuse, by TokensError, a `vocabulary` (its name, for messages) that alters ordinary text."""
        self.symbol_bytes = symbol_bytes
        self.escaped_bytes = 0
        self._vocabulary = vocabulary
        self._segment = segment
        self._silent = {i for i, piece in enumerate(symbol_bytes) if not piece}
        # Where two symbols stand for the same byte the first one is used.
        singles = [(piece[0], i) for i, piece in enumerate(symbol_bytes) if len(piece) == 1]
        self._byte_symbol = dict(reversed(singles))
        self._refuse_alteration()

    def encode_batch(self, texts: list[bytes]) -> list[NDArray[np.uint32]]:
        """The symbols of each text; TokensError if the vocabulary cannot represent it."""
        # Splitting on a group gives valid text at even places and the raw bytes between at odd ones.
        parts = [_RAW.split(text.decode("utf-8", "surrogateescape")) for text in texts]
        carried = iter(self._carry([valid for part in parts for valid in part[::2]]))
        result: list[NDArray[np.uint32]] = []
        for part in parts:
            symbols = next(carried)
            for raw in part[1::2]:
                symbols += self._escape(raw)
                symbols += next(carried)
            result.append(np.frombuffer(array("I", symbols), np.uint32))  # half the time of np.array
        return result

    def _carry(self, stretches: list[str], cuts: tuple[re.Pattern[str], ...] = _CUTS) -> list[list[int]]:
        """The symbols of each stretch of valid text, by the vocabulary itself as far as that survives."""
        found = self._segment(stretches)
        lost = [i for i, stretch in enumerate(stretches) if not self._survives(stretch, found[i])]
        if not cuts:
            for i in lost:
                found[i] = self._escape(stretches[i])
        elif lost:
            finer = [cuts[0].findall(stretches[i]) for i in lost]
            carried = iter(self._carry(list(chain.from_iterable(finer)), cuts[1:]))
            for i, pieces in zip(lost, finer, strict=True):
                found[i] = list(chain.from_iterable(next(carried) for _ in pieces))
        return found

    def _survives(self, stretch: str, symbols: list[int]) -> bool:
        joined = b"".join(map(self.symbol_bytes.__getitem__, symbols))
        return joined == stretch.encode() and self._silent.isdisjoint(symbols)

    def _escape(self, stretch: str) -> list[int]:
        data = stretch.encode("utf-8", "surrogateescape")
        try:
            symbols = [self._byte_symbol[byte] for byte in data]
        except KeyError as error:
            message = (
                f"{self._vocabulary} cannot represent {data[:8]!r}: it has no symbol for the byte "
                f"0x{error.args[0]:02X}; use a byte-level or byte-fallback vocabulary, or bytes"
            )
            raise TokensError(message) from None
        self.escaped_bytes += len(data)
        return symbols

    def _refuse_alteration(self) -> None:
        """TokensError if ordinary text does not survive, unless for want of symbols: then the text decides."""
        [symbols] = self._segment([_ORDINARY_TEXT])
        pieces = [self.symbol_bytes[symbol] for symbol in symbols]
        given, got = _ORDINARY_TEXT.encode(), b"".join(pieces)
        if got == given or b"" in pieces:
            return
        if got == given.lower():
            cause = "its normaliser puts text in lower case"
        elif got.strip() == given:
            cause = "it adds white space around the text"
        elif got.replace(b" ", b"") == given.replace(b" ", b""):
            cause = "it drops or rewrites white space"
        else:
            cause = "its normaliser or its unknown symbol rewrites text"
        message = (
            f"{self._vocabulary} alters ordinary text: {cause} ({given[:24]!r} came back as {got[:24]!r}); "
            "use a vocabulary without that, such as a byte-level one"
        )
        raise TokensError(message)


def given_file(file: str) -> Path:
    """The vocabulary file that an option names; TokensError if there is none."""
    path = Path(file).expanduser()
    if not path.is_file():
        message = f"vocabulary file {path}: no such file; paths start at the current directory, {Path.cwd()}"
        raise TokensError(message)
    return path
