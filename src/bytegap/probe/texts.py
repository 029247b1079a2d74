"""Held-out windows as a byte model reads them, and where tokens and words begin in them. B windows, S bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bytegap.objectives.words import words
from bytegap.records import TokensManifest, WindowsManifest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record
from bytegap.windows import Windows, begins

SPLIT = "test"
EOS = 256


@dataclass(frozen=True)
class Texts:
    """Windows of one length."""

    symbols_BS: Tensor
    keys_B: np.ndarray
    """Which window of the split each is."""
    starts: dict[str, Tensor]
    """(B, S) each: whether a `word`'s first letter stands there; whether a symbol of another set, by its name, begins
    there; and whether what follows the space that a symbol begins with does."""
    labels: dict[str, Tensor]
    """(B, S) each: which `word`, or which symbol of another set, a byte is in, numbered; -1 where it is in none."""


def read(folder: Folder, byte_tokens: str, most: int) -> Iterator[Texts]:
    """The first `most` windows of the test split, grouped by length."""
    manifest = read_record(folder.windows_manifest, WindowsManifest, "tokens")
    split = manifest.splits[SPLIT]
    own = split.tokens[byte_tokens]
    place = folder.tokens / "windows"
    counts = read_array(place, own.counts)[:most]
    total = int(counts.astype(np.int64).sum())
    windows = Windows(read_array(place, own.symbols)[:total], counts, split.bytes, split.sha256)
    others = {name: _symbols(folder, manifest, name, most) for name in split.tokens if name != byte_tokens}
    numbers: dict[bytes, int] = {}
    ends = np.cumsum(counts.astype(np.int64))
    for which, symbols in windows.by_length():
        symbols_BS = torch.from_numpy(symbols)
        word_BS = words(symbols_BS)
        of_word_BS = word_BS.diff(dim=1, prepend=torch.full((len(which), 1), -1)) > 0
        starts = {"word": past_space(of_word_BS, symbols_BS)}
        labels = {"word": numbered(word_BS, symbols_BS, numbers)}
        where = (ends[which] - symbols.shape[1])[:, None] + np.arange(symbols.shape[1])
        for name, (ids, starting) in others.items():
            of_symbol_BS = torch.from_numpy(starting[where])
            starts |= {name: of_symbol_BS, f"{name}, past its space": past_space(of_symbol_BS, symbols_BS)}
            labels |= {name: torch.from_numpy(ids[where])}
        yield Texts(symbols_BS, which, starts, labels)


def numbered(word_BS: Tensor, symbols_BS: Tensor, numbers: dict[bytes, int]) -> Tensor:
    """The number of the word at each byte, equal words alike; new ones are added to `numbers`. -1 at spaces and EOS.

    A window's first and last word may be cut; they count as what is left of them.
    """
    labels_BS = torch.full_like(word_BS, -1)
    for word_S, symbols_S, labels_S in zip(word_BS, symbols_BS, labels_BS, strict=True):
        letters_S = (symbols_S != ord(" ")) & (symbols_S < EOS)
        for one in word_S[letters_S].unique():
            at_S = (word_S == one) & letters_S
            spelling = bytes(symbols_S[at_S].tolist())
            labels_S[at_S] = numbers.setdefault(spelling, len(numbers))
    return labels_BS


def past_space(starts_BS: Tensor, symbols_BS: Tensor) -> Tensor:
    """Starts moved on by one where they are a space: vocabularies give the space to the word behind it."""
    at_space_BS = starts_BS & (symbols_BS == ord(" "))
    return (starts_BS & ~at_space_BS) | torch.nn.functional.pad(at_space_BS, (1, 0))[:, :-1]


def _symbols(folder: Folder, manifest: WindowsManifest, name: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(the symbol there, -1 for EOS; whether it begins there), over the bytes and EOS of all windows, end to end."""
    own = manifest.splits[SPLIT].tokens[name]
    tokens = read_record(folder.tokens_of(name) / "manifest.json", TokensManifest, "tokens")
    lengths = read_array(folder.tokens_of(name), tokens.lengths).astype(np.int64)
    counts = read_array(folder.tokens / "windows", own.counts)[:most]
    symbols = read_array(folder.tokens / "windows", own.symbols)[: int(counts.astype(np.int64).sum())].astype(np.int64)
    widths = np.append(lengths, 1)[symbols]  # EOS is a place of its own among a byte model's symbols
    return np.repeat(np.where(symbols < len(lengths), symbols, -1), widths), begins(symbols, lengths)
