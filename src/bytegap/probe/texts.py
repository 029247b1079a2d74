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
from bytegap.windows import Windows

SPLIT = "test"


@dataclass(frozen=True)
class Texts:
    """Windows of one length."""

    symbols_BS: Tensor
    starts: dict[str, Tensor]
    """(B, S) each: whether a `word`'s first letter stands there; whether a symbol of another set, by its name, begins
    there; and whether what follows the space that a symbol begins with does."""


def read(folder: Folder, byte_tokens: str, most: int) -> Iterator[Texts]:
    """The first `most` windows of the test split, grouped by length."""
    manifest = read_record(folder.windows_manifest, WindowsManifest, "tokens")
    split = manifest.splits[SPLIT]
    own = split.tokens[byte_tokens]
    place = folder.tokens / "windows"
    counts = read_array(place, own.counts)[:most]
    total = int(counts.astype(np.int64).sum())
    windows = Windows(read_array(place, own.symbols)[:total], counts, split.bytes, split.sha256)
    begun = {name: _starts(folder, manifest, name, most) for name in split.tokens if name != byte_tokens}
    ends = np.cumsum(counts.astype(np.int64))
    for which, symbols in windows.by_length():
        symbols_BS = torch.from_numpy(symbols)
        of_word_BS = words(symbols_BS).diff(dim=1, prepend=torch.full((len(which), 1), -1)) > 0
        starts = {"word": past_space(of_word_BS, symbols_BS)}
        for name, flags in begun.items():
            where = (ends[which] - symbols.shape[1])[:, None] + np.arange(symbols.shape[1])
            of_symbol_BS = torch.from_numpy(flags[where])
            starts |= {name: of_symbol_BS, f"{name}, past its space": past_space(of_symbol_BS, symbols_BS)}
        yield Texts(symbols_BS, starts)


def past_space(starts_BS: Tensor, symbols_BS: Tensor) -> Tensor:
    """Starts moved on by one where they are a space: vocabularies give the space to the word behind it."""
    at_space_BS = starts_BS & (symbols_BS == ord(" "))
    return (starts_BS & ~at_space_BS) | torch.nn.functional.pad(at_space_BS, (1, 0))[:, :-1]


def _starts(folder: Folder, manifest: WindowsManifest, name: str, most: int) -> np.ndarray:
    """Over the bytes of all windows end to end, and each document's EOS as one more: whether a symbol begins there."""
    own = manifest.splits[SPLIT].tokens[name]
    tokens = read_record(folder.tokens_of(name) / "manifest.json", TokensManifest, "tokens")
    lengths = read_array(folder.tokens_of(name), tokens.lengths).astype(np.int64)
    counts = read_array(folder.tokens / "windows", own.counts)[:most]
    symbols = read_array(folder.tokens / "windows", own.symbols)[: int(counts.astype(np.int64).sum())].astype(np.int64)
    widths = np.append(lengths, 1)[symbols]  # EOS is a place of its own among a byte model's symbols
    flags = np.zeros(int(widths.sum()), bool)
    flags[np.cumsum(widths) - widths] = True
    return flags
