"""Word reconstruction: k bytes of a word are hidden, scattered or contiguous, all other bytes of the window visible.

One word of a window at a time, drawn among those of suitable length. B windows, S bytes.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.objectives.whole_word_mdm import word_index
from bytegap.probe.metrics import mean_and_se
from bytegap.probe.predict import is_causal, run_fields, surprisal_nats, target_logp
from bytegap.probe.windows import ProbeWindows
from bytegap.schema.plan import RunSpec
from bytegap.schema.probe import Reconstruction

WORD_BYTES = (5, 8)
"""Fewest and most bytes of a word, the space before it not counted."""
HIDDEN = (1, 2, 3, 4)
"""k."""
_PATTERNS: tuple[Literal["scattered", "contiguous"], ...] = ("scattered", "contiguous")


def reconstruction(model: LanguageModel, spec: RunSpec, windows: Iterable[ProbeWindows]) -> list[Reconstruction]:
    """A row for each k and pattern; none for causal models, which do not see the text after the hidden bytes."""
    if is_causal(model):
        return []
    rng = rng_for(spec.seed, 3)
    nats: dict[tuple[Literal["scattered", "contiguous"], int], list[Tensor]] = defaultdict(list)
    correct: dict[tuple[Literal["scattered", "contiguous"], int], list[Tensor]] = defaultdict(list)
    for each in windows:
        word_BS = draw_word(each.tokens_BS, rng)
        has_word_B = word_BS.any(1)
        tokens_BS, word_BS = each.tokens_BS[has_word_B], word_BS[has_word_B]
        if not len(tokens_BS):
            continue
        for k in HIDDEN:
            for pattern in _PATTERNS:
                hidden_BS = hide(word_BS, k, rng, contiguous=pattern == "contiguous")
                logp_MV = target_logp(model, tokens_BS, hidden_BS, hidden_BS)
                hidden_Bk = tokens_BS[hidden_BS].view(-1, k)
                nats[pattern, k].append(surprisal_nats(logp_MV, hidden_Bk.flatten()).view(-1, k).double().mean(1))
                correct[pattern, k].append((logp_MV.argmax(-1).view(-1, k) == hidden_Bk).all(1))
    rows: list[Reconstruction] = []
    for (pattern, k), parts in nats.items():
        nats_B = torch.cat(parts)
        mean, error = mean_and_se(nats_B)
        rows.append(
            Reconstruction(
                **run_fields(spec),
                pattern=pattern,
                hidden=k,
                words=len(nats_B),
                nats_per_byte=mean,
                nats_per_byte_se=error,
                exact_match=float(torch.cat(correct[pattern, k]).double().mean()),
            )
        )
    return rows


def draw_word(tokens_BS: Tensor, rng: torch.Generator) -> Tensor:
    """The letters of one word of suitable length in each window, drawn at random, (B, S); none where there is none."""
    word_BS = word_index(tokens_BS)
    letters_BS = tokens_BS != ord(" ")
    lengths_BW = torch.zeros_like(word_BS).scatter_add(1, word_BS, letters_BS.long())
    suitable_BW = (lengths_BW >= WORD_BYTES[0]) & (lengths_BW <= WORD_BYTES[1])
    chosen_B = torch.where(suitable_BW, torch.rand(suitable_BW.shape, generator=rng), -1.0).argmax(1)
    return (word_BS == chosen_B[:, None]) & letters_BS & suitable_BW.any(1)[:, None]


def hide(word_BS: Tensor, k: int, rng: torch.Generator, *, contiguous: bool) -> Tensor:
    """Choose k of each word's bytes, among its bytes or among its stretches of k bytes: (B, S)."""
    index_BS = torch.where(word_BS, word_BS.cumsum(1) - 1, -1)
    length_B = word_BS.sum(1)
    if contiguous:
        first_B = (torch.rand(len(length_B), generator=rng) * (length_B - k + 1)).long()
        return (index_BS >= first_B[:, None]) & (index_BS < (first_B + k)[:, None]) & word_BS
    draw_BS = torch.where(word_BS, torch.rand(word_BS.shape, generator=rng), 2.0)
    return (draw_BS.argsort(1).argsort(1) < k) & word_BS
