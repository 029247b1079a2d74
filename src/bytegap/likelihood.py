"""Nats of a split's scoring windows under a model, with the estimator's standard error.

An exact objective takes one pass. Any other takes several: in each, the windows' times u lie on a lattice with one
random shift, (i + shift) / W, dealt to the W windows at random. A pass is an unbiased estimate of the whole split;
independent shifts give the standard error. Training, probes and evaluation all score through here.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bytegap.accounting.bits import bits_per_byte
from bytegap.objectives._base import Vocabulary
from bytegap.records import Score
from bytegap.sight import Sight
from bytegap.windows import Keys, Symbols, Windows

Model = Callable[[Tensor, Tensor, Sight], Tensor]

_POSITIONS, _LOGITS = 4096, 2**22  # at most, through the model at once


def lattice(points: int, generator: torch.Generator) -> Tensor:
    """A shifted lattice on (0, 1] in random order, (points,): stratified, each point uniform."""
    shift = torch.rand((), generator=generator, dtype=torch.float64)
    u = (torch.randperm(points, generator=generator).double() + shift) / points
    return u.clamp(min=torch.finfo(torch.float64).tiny)


def stream(*key: int) -> torch.Generator:
    """A generator that depends on `key` alone: no state of random numbers is ever stored."""
    seed = 0
    for part in key:
        seed = (seed * 6364136223846793005 + part * 1442695040888963407 + 1) % 2**64
        seed ^= seed >> 29
    return torch.Generator().manual_seed(seed % 2**63)


@torch.no_grad()
def score_windows(  # noqa: PLR0913 - an instrument has this many settings
    model: Model,
    objective: ModuleType,
    options: Any,
    windows: Windows,
    vocabulary: Vocabulary,
    *,
    passes: int,
    seed: int,
    permute: Callable[[Symbols, Keys], Symbols],
) -> Score:
    """Score a split: nats summed in float64, bytes those of the original text."""

    def one_pass(generator: torch.Generator) -> float:
        u_W = lattice(len(windows.counts), generator)
        nats = 0.0
        for which, symbols in windows.by_length():
            rows = max(1, min(_POSITIONS, _LOGITS // vocabulary.ids) // symbols.shape[1])
            for start in range(0, len(which), rows):
                symbols_BS = torch.from_numpy(permute(symbols[start : start + rows], which[start : start + rows]))
                u_B = u_W[torch.from_numpy(which[start : start + rows])]
                question = objective.score(symbols_BS, u_B, generator, vocabulary, options)
                logits_MV = model(question.inputs_BP, question.positions_M, question.sight)
                answer = objective.loss(logits_MV.double(), question)
                nats += float(answer.weighted_nats_B.sum())
        return nats

    totals = [one_pass(stream(seed, number)) for number in range(1 if objective.EXACT else passes)]
    nats = torch.tensor(totals, dtype=torch.float64)
    error = float(nats.std() / len(totals) ** 0.5) if len(totals) > 1 else 0.0
    return Score(
        nats=float(nats.mean()),
        nats_se=error,
        bytes=windows.bytes,
        bpb=bits_per_byte(float(nats.mean()), windows.bytes),
        bpb_se=bits_per_byte(error, windows.bytes),
        windows_sha256=windows.sha256,
    )
