"""Makes any vocabulary lossless on any bytes; every kind of tokenizer but bytes goes through it.

Stretches of valid UTF-8 go to the vocabulary's own segmentation; all other bytes become single-byte tokens.
The bytes of the resulting tokens are compared with the text.
Of a stretch that was altered (by a normalizer, an unknown token, U+2581 in SentencePiece) the tokens before, between
and after what was altered are kept; the rest is cut into lines, then words, then code points, and only what is still
altered is escaped, that is, written as single-byte tokens.
Tokens that stand for no text are never produced.
"""

import re
from array import array
from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bytegap.errors import TokenizerError
from bytegap.io.paths import expanded

Segment = Callable[[list[str]], list[list[int]]]
"""A vocabulary's own segmentation of each of several texts."""

# An undecodable byte, as `surrogateescape` writes it.
_RAW = re.compile("([\udc80-\udcff]+)")

# Ever finer cuts of a stretch that was altered. White space begins a word, as in every common vocabulary.
_CUTS = (re.compile(r"[^\n]+|\n+"), re.compile(r" ?\S+|\s"), re.compile(r".", re.DOTALL))

_TOKENS_AHEAD, _BYTES_AHEAD = 6, 8
"""Tokens that must match again after an alteration, and their bytes at least."""
_LOST_TOKENS, _LOST_BYTES = 32, 256
"""How far after an alteration such a match is looked for."""

_ORDINARY_TEXT = "The State of the Union, in 1790: it's a plain text, by George Washington."


class Lossless:
    """A vocabulary made lossless; a `Tokenizer`."""

    def __init__(self, vocabulary: str, token_bytes: list[bytes], segment: Segment) -> None:
        """TokenizerError if the vocabulary, called `vocabulary` in messages, alters ordinary text."""
        self.token_bytes = token_bytes
        self.escaped_bytes = 0
        self._vocabulary = vocabulary
        self._segment = segment
        self._silent = {i for i, piece in enumerate(token_bytes) if not piece}
        # Where two tokens stand for the same byte the first one is used.
        singles = [(piece[0], i) for i, piece in enumerate(token_bytes) if len(piece) == 1]
        self._byte_token = dict(reversed(singles))
        self._refuse_alteration()

    def encode_batch(self, texts: list[bytes]) -> list[NDArray[np.uint32]]:
        """The tokens of each text; TokenizerError if the vocabulary cannot represent it."""
        # Splitting on a group gives valid text at even indices and the raw bytes between at odd ones.
        parts = [_RAW.split(text.decode("utf-8", "surrogateescape")) for text in texts]
        carried = iter(self._carry([valid for part in parts for valid in part[::2]]))
        result: list[NDArray[np.uint32]] = []
        for part in parts:
            tokens = next(carried)
            for raw in part[1::2]:
                tokens += self._escape(raw)
                tokens += next(carried)
            result.append(np.frombuffer(array("I", tokens), np.uint32))  # half the time of np.array
        return result

    def _carry(self, stretches: list[str], cuts: tuple[re.Pattern[str], ...] = _CUTS) -> list[list[int]]:
        """The tokens of each stretch of valid text, by the vocabulary's own segmentation where that is lossless."""
        found = self._segment(stretches)
        lost = [i for i, stretch in enumerate(stretches) if not self._survives(stretch, found[i])]
        if not cuts:
            for i in lost:
                found[i] = self._escape(stretches[i])
            return found
        kept = [self._kept(stretches[i], found[i]) for i in lost]
        # What is altered within a stretch is tried again by itself; what is altered as a whole is cut.
        again = [part for parts in kept if len(parts) > 1 for part in parts if isinstance(part, str)]
        finer = [cuts[0].findall(stretches[i]) if len(parts) == 1 else [] for i, parts in zip(lost, kept, strict=True)]
        carried_again = iter(self._carry(again, cuts) if again else [])
        carried = iter(self._carry(list(chain.from_iterable(finer)), cuts[1:]) if any(finer) else [])
        for i, parts, pieces in zip(lost, kept, finer, strict=True):
            if len(parts) == 1:
                found[i] = list(chain.from_iterable(next(carried) for _ in pieces))
            else:
                own = (next(carried_again) if isinstance(part, str) else part for part in parts)
                found[i] = list(chain.from_iterable(own))
        return found

    def _kept(self, stretch: str, tokens: list[int]) -> list[list[int] | str]:
        """The stretch in order, as tokens whose bytes are its own, and texts that were altered; one text if all was."""
        data, parts = stretch.encode(), list[list[int] | str]()
        at = index = 0
        while at < len(data):
            run = self._matching(data, at, tokens, index)
            if run:
                parts.append(tokens[index : index + len(run)])
                at, index = at + sum(run), index + len(run)
            if at < len(data):
                begin = at
                at, index = self._resumed(data, at, tokens, index)
                if at > begin:
                    parts.append(data[begin:at].decode())
        return parts

    def _matching(self, data: bytes, at: int, tokens: list[int], index: int) -> list[int]:
        """Lengths of the tokens from `index` on that are the bytes from `at` on; they end between code points."""
        lengths: list[int] = []
        for token in islice(tokens, index, None):
            piece = self.token_bytes[token]
            if not piece or not data.startswith(piece, at):
                break
            lengths.append(len(piece))
            at += len(piece)
        while lengths and not _begins(data, at):
            at -= lengths.pop()
        return lengths

    def _resumed(self, data: bytes, at: int, tokens: list[int], index: int) -> tuple[int, int]:
        """(place in the bytes, index of a token) after `at` and `index` from where on several tokens match again."""
        for later in range(index, min(index + _LOST_TOKENS, len(tokens))):
            ahead = b"".join(map(self.token_bytes.__getitem__, tokens[later : later + _TOKENS_AHEAD]))
            # At the same place only behind tokens that the vocabulary has put in.
            begin = at if later > index else at + 1
            found = data.find(ahead, begin, at + _LOST_BYTES) if len(ahead) >= _BYTES_AHEAD else -1
            if found >= begin and _begins(data, found):
                return found, later
        return len(data), len(tokens)

    def _survives(self, stretch: str, tokens: list[int]) -> bool:
        joined = b"".join(map(self.token_bytes.__getitem__, tokens))
        return joined == stretch.encode() and self._silent.isdisjoint(tokens)

    def _escape(self, stretch: str) -> list[int]:
        data = stretch.encode("utf-8", "surrogateescape")
        try:
            tokens = [self._byte_token[byte] for byte in data]
        except KeyError as error:
            message = (
                f"{self._vocabulary} cannot represent {data[:8]!r}: it has no token for the byte "
                f"0x{error.args[0]:02X}; use a byte-level or byte-fallback vocabulary, or bytes"
            )
            raise TokenizerError(message) from None
        self.escaped_bytes += len(data)
        return tokens

    def _refuse_alteration(self) -> None:
        """TokenizerError if ordinary text is altered, unless a token is missing: then the study's text decides."""
        [tokens] = self._segment([_ORDINARY_TEXT])
        pieces = [self.token_bytes[token] for token in tokens]
        given, got = _ORDINARY_TEXT.encode(), b"".join(pieces)
        if got == given or b"" in pieces:
            return
        if got == given.lower():
            cause = "its normalizer puts text in lower case"
        elif got.strip() == given:
            cause = "it adds white space around the text"
        elif got.replace(b" ", b"") == given.replace(b" ", b""):
            cause = "it drops or rewrites white space"
        else:
            cause = "its normalizer or its unknown token rewrites text"
        message = (
            f"{self._vocabulary} alters ordinary text: {cause} ({given[:24]!r} came back as {got[:24]!r}); "
            "use a vocabulary without that, such as a byte-level one"
        )
        raise TokenizerError(message)


def _begins(data: bytes, at: int) -> bool:
    """Whether a code point of valid UTF-8, or nothing, begins at `at`."""
    return at == len(data) or data[at] & 0xC0 != 0x80


def vocabulary_file(file: str) -> Path:
    """The vocabulary file that an option names; TokenizerError if there is none."""
    path = expanded(file)
    if not path.is_file():
        message = f"vocabulary file {path}: no such file; paths start at the current directory, {Path.cwd()}"
        raise TokenizerError(message)
    return path
