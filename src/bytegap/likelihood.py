"""Nats of a split's scoring windows under a model, with the estimator's standard error.

An exact objective takes one pass. Any other takes several: in each, the windows' times u lie on a lattice with one
random shift, (i + shift) / W, dealt to the W windows at random. A pass is an unbiased estimate of the whole split;
independent shifts give the standard error. Training, probes and evaluation all score through here.

What of a window is given beforehand costs nothing: what is scored is the rest, conditional on it.

Nats that are NaN or infinite are never returned: each function raises ModelError, which names the model.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bytegap.accounting.bits import bits_per_byte
from bytegap.finite import check_nats
from bytegap.objectives._base import Question, Vocabulary
from bytegap.records import Score
from bytegap.sight import Sight
from bytegap.windows import Keys, Symbols, Windows

Model = Callable[[Tensor, Tensor, Sight], Tensor]
Permute = Callable[[Symbols, Keys], Symbols]

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
    permute: Permute,
) -> Score:
    """Score a split: nats summed in float64, bytes those of the original text."""
    totals: list[float] = []
    for generator in _generators(objective, passes, seed):
        nats = 0.0
        for _, question, logits_MV in _asked(model, objective, options, windows, vocabulary, generator, permute):
            nats_B = objective.loss(logits_MV, question).weighted_nats_B
            nats += float(check_nats(nats_B, _name_of(model)).sum())
        totals.append(nats)
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


@torch.no_grad()
def symbol_nats(  # noqa: PLR0913 - as above
    model: Model,
    objective: ModuleType,
    options: Any,
    windows: Windows,
    vocabulary: Vocabulary,
    *,
    passes: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """What each symbol of the windows costs, float64: (its mean over passes (symbols,), the passes' sums (passes,)).

    The sums are those of `score_windows`. In an estimate a pass charges a symbol what it was asked times its weight,
    and nothing where it was not asked: the mean is unbiased for the symbol's share of the bound.
    """
    generators = _generators(objective, passes, seed)
    total = torch.zeros(len(windows.symbols), dtype=torch.float64)
    sums: list[float] = []
    counts_W = torch.from_numpy(windows.counts.astype(np.int64))
    starts_W = counts_W.cumsum(0) - counts_W
    for generator in generators:
        before = float(total.sum())
        for which, question, logits_MV in _asked(model, objective, options, windows, vocabulary, generator, _as_it_is):
            nats_M = functional.cross_entropy(logits_MV, question.targets_M, reduction="none") * question.weights_M
            check_nats(nats_M, _name_of(model))
            total.index_add_(0, starts_W[torch.from_numpy(which)][question.rows_M] + question.places_M, nats_M)
        sums.append(float(total.sum()) - before)
    return total / len(generators), torch.tensor(sums, dtype=torch.float64)


@torch.no_grad()
def window_nats(  # noqa: PLR0913, PLR0917 - as above
    model: Model,
    objective: ModuleType,
    options: Any,
    windows: Windows,
    given_W: Tensor,
    vocabulary: Vocabulary,
    *,
    passes: int,
    points: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """What each window costs beyond its first `given_W` symbols, (passes, W), and whether they are the likeliest, (W,).

    Each pass asks about every window at `points` times, 1 / points apart, its own shift being one of a lattice over the
    windows: with one point the sum over windows is that of `score_windows`. Passes are independent, so that a window's
    own spread over them gives its standard error. Likeliest is a window none of whose symbols, wherever it was asked
    about, had a likelier one. The objective's `score` must take `only_BS`.
    """
    generators = _generators(objective, passes, seed)
    points = 1 if objective.EXACT else points
    nats = torch.zeros(len(generators), len(windows.counts), dtype=torch.float64)
    likeliest_W = torch.ones(len(windows.counts), dtype=torch.bool)
    for nats_W, generator in zip(nats, generators, strict=True):
        shift_W = lattice(len(windows.counts), generator)
        for point in range(points):
            for which, question, logits_MV in _asked(
                model,
                objective,
                options,
                windows,
                vocabulary,
                generator,
                _as_it_is,
                (point + shift_W) / points,
                given_W,
            ):
                rows = torch.from_numpy(which)
                nats_B = check_nats(objective.loss(logits_MV, question).weighted_nats_B, _name_of(model))
                nats_W.index_add_(0, rows, nats_B / points)
                wrong_M = logits_MV.argmax(-1) != question.targets_M
                likeliest_W[rows[question.rows_M[wrong_M]]] = False
    return nats, likeliest_W


def _name_of(model: Model) -> str:
    """The name that errors give the model."""
    return getattr(model, "name", "the model")


def _as_it_is(symbols: Symbols, _: Keys) -> Symbols:
    return symbols


def _generators(objective: ModuleType, passes: int, seed: int) -> list[torch.Generator]:
    """One for each pass that the objective takes."""
    return [stream(seed, number) for number in range(1 if objective.EXACT else passes)]


def _asked(  # noqa: PLR0913, PLR0917 - as above
    model: Model,
    objective: ModuleType,
    options: Any,
    windows: Windows,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    permute: Permute,
    u_W: Tensor | None = None,
    given_W: Tensor | None = None,
) -> Iterator[tuple[Keys, Question, Tensor]]:
    """One pass: of some windows at a time, which they are, what was asked, and the logits, float64."""
    if u_W is None:
        u_W = lattice(len(windows.counts), generator)
    for which, symbols in windows.by_length():
        rows = max(1, min(_POSITIONS, _LOGITS // vocabulary.ids) // symbols.shape[1])
        for start in range(0, len(which), rows):
            own = which[start : start + rows]
            symbols_BS = torch.from_numpy(permute(symbols[start : start + rows], own))
            which_B = torch.from_numpy(own)
            only = {} if given_W is None else {"only_BS": torch.arange(symbols.shape[1]) >= given_W[which_B, None]}
            question = objective.score(symbols_BS, u_W[which_B], generator, vocabulary, options, **only)
            yield own, question, model(question.inputs_BP, question.positions_M, question.sight).double()
