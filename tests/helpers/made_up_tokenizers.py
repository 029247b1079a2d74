"""Tokenizers with arbitrary boundaries, for tests of what must hold for any."""

import numpy as np

from bytegap.data.boundaries import Document, EncodedDocument


class Chunks:
    """Ends a token where the last two bytes have a property, or it has `longest` bytes; knows nothing of characters."""

    def __init__(self, modulus, longest):
        self.modulus, self.longest = modulus, longest
        self.token_bytes, self.escaped_bytes = [], 0
        self._ids = {}

    def pieces(self, text):
        found, begin = [], 0
        for end in range(1, len(text) + 1):
            before = text[end - 2] if end > begin + 1 else 0
            if (31 * before + text[end - 1]) % self.modulus == 0 or end - begin == self.longest or end == len(text):
                found.append(text[begin:end])
                begin = end
        return found

    def encode_batch(self, texts):
        for piece in {piece for text in texts for piece in self.pieces(text)} - self._ids.keys():
            self._ids[piece] = len(self.token_bytes)
            self.token_bytes.append(piece)
        return [np.array([self._ids[piece] for piece in self.pieces(text)], np.uint32) for text in texts]


def encoded(text, tokenizers, seq_lens):
    """The document under made-up tokenizers."""
    by_name = {}
    for number, (tokenizer, seq_len) in enumerate(zip(tokenizers, seq_lens, strict=True)):
        [ids] = tokenizer.encode_batch([text])
        ends = np.cumsum([len(piece) for piece in tokenizer.pieces(text)])
        by_name[str(number)] = EncodedDocument(text, tokenizer, ids, ends, seq_len)
    return Document(text, by_name)
