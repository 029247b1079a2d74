"""Words guessed back: k of their bytes hidden, scattered or side by side, all else of the window visible.

One word a window at a time, drawn among those of n bytes. B windows, S bytes.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

from bytegap.likelihood import stream
from bytegap.objectives.words import words
from bytegap.probe.models import Asked, surprisal_nats
from bytegap.probe.texts import Texts
from bytegap.records import Reconstruction

LENGTHS = (5, 8)
"""Words of at least and at most so many bytes, the space before them not counted."""
HIDDEN = (1, 2, 3, 4)


def of_run(asked: Asked, texts: Iterable[Texts]) -> list[Reconstruction]:
    """A row a number of hidden bytes and pattern; nothing for AR, which sees no text behind them."""
    if asked.causal:
        return []
    generator = stream(asked.spec.seed, 3)
    nats: dict[tuple[str, int], list[Tensor]] = defaultdict(list)
    right: dict[tuple[str, int], list[Tensor]] = defaultdict(list)
    for text in texts:
        picked_BS = word(text.symbols_BS, generator)
        has_one_B = picked_BS.any(1)
        symbols_BS, picked_BS = text.symbols_BS[has_one_B], picked_BS[has_one_B]
        if not len(symbols_BS):
            continue
        for k in HIDDEN:
            for pattern in ("scattered", "contiguous"):
                hidden_BS = hide(picked_BS, k, generator, side_by_side=pattern == "contiguous")
                logp_MV = asked.hidden_ones(symbols_BS, hidden_BS, hidden_BS)
                hidden_Bk = symbols_BS[hidden_BS].view(-1, k)
                nats[pattern, k].append(surprisal_nats(logp_MV, hidden_Bk.flatten()).view(-1, k).double().mean(1))
                right[pattern, k].append((logp_MV.argmax(-1).view(-1, k) == hidden_Bk).all(1))
    found: list[Reconstruction] = []
    for (pattern, k), parts in nats.items():
        each = torch.cat(parts)
        found.append(
            Reconstruction(
                run=asked.spec.id,
                arm=asked.spec.arm,
                budget_flops=asked.spec.budget_flops,
                non_embedding_parameters=asked.spec.non_embedding_parameters,
                pattern="scattered" if pattern == "scattered" else "contiguous",
                hidden=k,
                words=len(each),
                nats_a_byte=float(each.mean()),
                nats_a_byte_se=float(each.std() / len(each) ** 0.5),
                all_right=float(torch.cat(right[pattern, k]).double().mean()),
            )
        )
    return found


def word(symbols_BS: Tensor, generator: torch.Generator) -> Tensor:
    """The letters of one word of a fitting length in each window, drawn at random; none where there is none: (B, S)."""
    word_BS = words(symbols_BS)
    letters_BS = symbols_BS != ord(" ")
    lengths_BW = torch.zeros_like(word_BS).scatter_add(1, word_BS, letters_BS.long())
    fits_BW = (lengths_BW >= LENGTHS[0]) & (lengths_BW <= LENGTHS[1])
    chosen_B = torch.where(fits_BW, torch.rand(fits_BW.shape, generator=generator), -1.0).argmax(1)
    return (word_BS == chosen_B[:, None]) & letters_BS & fits_BW.any(1)[:, None]


def hide(word_BS: Tensor, k: int, generator: torch.Generator, *, side_by_side: bool) -> Tensor:
    """Take k of each word's bytes, drawn among its bytes or among its stretches of k: (B, S)."""
    place_BS = torch.where(word_BS, word_BS.cumsum(1) - 1, -1)
    length_B = word_BS.sum(1)
    if side_by_side:
        first_B = (torch.rand(len(length_B), generator=generator) * (length_B - k + 1)).long()
        return (place_BS >= first_B[:, None]) & (place_BS < (first_B + k)[:, None]) & word_BS
    draw_BS = torch.where(word_BS, torch.rand(word_BS.shape, generator=generator), 2.0)
    return (draw_BS.argsort(1).argsort(1) < k) & word_BS
