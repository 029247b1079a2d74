"""Test windows as a byte model reads them, and where tokens and words begin in them. B windows, S bytes.

Reads tokens/windows.json, tokens/windows/ and the tokenizers' manifests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bytegap.data.windows import Windows, token_starts
from bytegap.io.arrays import read_array
from bytegap.objectives.whole_word_mdm import word_index
from bytegap.schema.data import ScoringSplit
from bytegap.study.directory import StudyDir

SPLIT = "test"
EOS = 256


@dataclass(frozen=True)
class ProbeWindows:
    """Windows of one length, with labels of their bytes."""

    tokens_BS: Tensor
    keys_B: NDArray[np.int64]
    """Index of each window in the split."""
    starts: dict[str, Tensor]
    """(B, S), bool, by kind of boundary. `word`: a word's first letter. TOKENIZER: the first byte of a token.
    `TOKENIZER, past its space`: the same, but the second byte of tokens that begin with a space."""
    labels: dict[str, Tensor]
    """(B, S), int: number of the `word`, or of the TOKENIZER's token, that a byte is in; -1 where it is in none."""


def read_windows(study_dir: StudyDir, byte_tokenizer: str, most: int) -> Iterator[ProbeWindows]:
    """The first `most` test windows, those of equal length together."""
    split = study_dir.windows().splits[SPLIT]
    own = split.tokenizers[byte_tokenizer]
    counts = read_array(study_dir.windows_dir, own.counts)[:most]
    total = int(counts.astype(np.int64).sum())
    windows = Windows(read_array(study_dir.windows_dir, own.tokens)[:total], counts, split.bytes, split.sha256)
    others = {
        name: _token_at_each_byte(study_dir, split, name, most) for name in split.tokenizers if name != byte_tokenizer
    }
    numbers: dict[bytes, int] = {}
    ends = np.cumsum(counts.astype(np.int64))
    for keys_B, tokens in windows.by_length():
        tokens_BS = torch.from_numpy(tokens)
        word_BS = word_index(tokens_BS)
        word_starts_BS = word_BS.diff(dim=1, prepend=torch.full((len(keys_B), 1), -1)) > 0
        starts = {"word": past_space(word_starts_BS, tokens_BS)}
        labels = {"word": word_numbers(word_BS, tokens_BS, numbers)}
        first_B = ends[keys_B] - tokens.shape[1]
        offsets = cast("NDArray[np.int64]", first_B[:, None] + np.arange(tokens.shape[1]))
        for name, (ids, begins) in others.items():
            token_starts_BS = torch.from_numpy(begins[offsets])
            starts |= {name: token_starts_BS, f"{name}, past its space": past_space(token_starts_BS, tokens_BS)}
            labels |= {name: torch.from_numpy(ids[offsets])}
        yield ProbeWindows(tokens_BS, keys_B, starts, labels)


def word_numbers(word_BS: Tensor, tokens_BS: Tensor, numbers: dict[bytes, int]) -> Tensor:
    """The number of the word at each byte, -1 at spaces and EOS; equal words have equal numbers.

    New words are added to `numbers`. A window's first and last word may be cut; they count as what is left of them.
    """
    labels_BS = torch.full_like(word_BS, -1)
    for word_S, tokens_S, labels_S in zip(word_BS, tokens_BS, labels_BS, strict=True):
        letters_S = (tokens_S != ord(" ")) & (tokens_S < EOS)
        for index in cast("list[int]", word_S[letters_S].unique().tolist()):
            own_S = (word_S == index) & letters_S
            spelling = bytes(cast("list[int]", tokens_S[own_S].tolist()))
            labels_S[own_S] = numbers.setdefault(spelling, len(numbers))
    return labels_BS


def past_space(starts_BS: Tensor, tokens_BS: Tensor) -> Tensor:
    """Starts at a space moved to the next byte: vocabularies attach a space to the word after it."""
    at_space_BS = starts_BS & (tokens_BS == ord(" "))
    return (starts_BS & ~at_space_BS) | torch.nn.functional.pad(at_space_BS, (1, 0))[:, :-1]


def _token_at_each_byte(
    study_dir: StudyDir, split: ScoringSplit, name: str, most: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(token there, -1 for EOS; whether it begins there), over the bytes and EOS of all windows in sequence."""
    own = split.tokenizers[name]
    manifest = study_dir.tokenizer(name)
    lengths = read_array(study_dir.tokenizer_dir(name), manifest.lengths).astype(np.int64)
    counts = read_array(study_dir.windows_dir, own.counts)[:most]
    total = int(counts.astype(np.int64).sum())
    tokens = read_array(study_dir.windows_dir, own.tokens)[:total].astype(np.int64)
    widths = np.append(lengths, 1)[tokens]  # EOS is one token of a byte model
    return np.repeat(np.where(tokens < len(lengths), tokens, -1), widths), token_starts(tokens, lengths)
