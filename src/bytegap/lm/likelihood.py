"""Nats of scoring windows under a model, with the standard error of the estimate.

An exact likelihood takes one pass.
Any other takes several: in each, the times t of the windows lie on a lattice with one random shift, (i + shift) / W,
assigned to the W windows at random.
A pass is an unbiased estimate for all windows together; independent shifts give the standard error.
Training, probes and evaluation all score through this module.

A window may have a given prefix, which costs nothing: the rest is scored, conditional on it.
Nats that are NaN or infinite are never returned: each function raises ModelError with the model's name.
W windows, of D documents, B windows at a time, S tokens of a window, M supervised positions, V ids.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bytegap.cost.bits import bits_per_byte
from bytegap.data.train_sequences import Keys
from bytegap.data.windows import Windows
from bytegap.lm.language_model import LanguageModel
from bytegap.nn.finite import check_nats
from bytegap.objectives.base import Batch, Sequences
from bytegap.schema.runs import Score

_MAX_POSITIONS, _MAX_LOGITS = 4096, 2**22  # through the model at once


def stratified_times(points: int, rng: torch.Generator) -> Tensor:
    """A lattice on (0, 1] with a random shift, in random order, (points,): stratified, each time uniform."""
    shift = torch.rand((), generator=rng, dtype=torch.float64)
    t = (torch.randperm(points, generator=rng).double() + shift) / points
    return t.clamp(min=torch.finfo(torch.float64).tiny)


def rng_for(*key: int) -> torch.Generator:
    """A generator that depends on `key` alone, so that no state of random numbers is ever stored."""
    seed = 0
    for part in key:
        seed = (seed * 6364136223846793005 + part * 1442695040888963407 + 1) % 2**64
        seed ^= seed >> 29
    return torch.Generator().manual_seed(seed % 2**63)


@dataclass(frozen=True)
class _Scored:
    """Some windows with equal length, scored together."""

    indices: Keys
    """Which windows."""
    batch: Batch
    logits_MV: Tensor
    """float64."""


@torch.no_grad()
def score_windows(model: LanguageModel, windows: Windows) -> Score:
    """Score windows: nats summed in float64, over the bytes of the original text."""
    totals: list[float] = []
    document_W = None if windows.documents is None else torch.from_numpy(windows.documents)
    nats_D = torch.zeros(len(windows.document_bytes), dtype=torch.float64)
    for rng in _generators(model):
        total = 0.0
        for scored in _scored_batches(model, windows, rng):
            nats_B = check_nats(model.objective.loss(scored.logits_MV, scored.batch).weighted_nats_B, model.name)
            total += float(nats_B.sum())
            if document_W is not None:
                nats_D.index_add_(0, document_W[torch.from_numpy(scored.indices)], nats_B)
        totals.append(total)
    nats = torch.tensor(totals, dtype=torch.float64)
    error = float(nats.std() / len(totals) ** 0.5) if len(totals) > 1 else 0.0
    return Score(
        nats=float(nats.mean()),
        nats_se=error,
        bytes=windows.bytes,
        bpb=bits_per_byte(float(nats.mean()), windows.bytes),
        bpb_se=bits_per_byte(error, windows.bytes),
        windows_sha256=windows.sha256,
        passes=len(totals),
        document_nats=tuple(cast("list[float]", (nats_D / len(totals)).tolist())),
        document_bytes=windows.document_bytes,
    )


@torch.no_grad()
def token_nats(model: LanguageModel, windows: Windows, prefix_lengths_W: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Nats of each token of the windows, float64: (mean over passes (tokens,), sum of each pass (passes,)).

    The sums are those of `score_windows`; tokens of a window's prefix are given, and have 0.
    In an estimate a pass charges a supervised token its cross-entropy times its weight, and other tokens nothing: the
    mean is unbiased for the token's share of the bound.
    """
    generators = _generators(model)
    total = torch.zeros(len(windows.tokens), dtype=torch.float64)
    sums: list[float] = []
    counts_W = torch.from_numpy(windows.counts.astype(np.int64))
    starts_W = counts_W.cumsum(0) - counts_W
    for rng in generators:
        before = float(total.sum())
        for scored in _scored_batches(model, windows, rng, prefix_lengths_W=prefix_lengths_W):
            batch = scored.batch
            nats_M = functional.cross_entropy(scored.logits_MV, batch.targets_M, reduction="none") * batch.weights_M
            check_nats(nats_M, model.name)
            starts_B = starts_W[torch.from_numpy(scored.indices)]
            total.index_add_(0, starts_B[batch.row_M] + batch.token_index_M, nats_M)
        sums.append(float(total.sum()) - before)
    return total / len(generators), torch.tensor(sums, dtype=torch.float64)


@torch.no_grad()
def window_nats(
    model: LanguageModel, windows: Windows, prefix_lengths_W: Tensor, *, points: int = 1
) -> tuple[Tensor, Tensor]:
    """Nats of each window beyond its prefix, (passes, W), and whether its tokens are all the likeliest ones, (W,).

    Each pass scores every window at `points` times, 1 / points apart, its own shift being one of a lattice over the
    windows: with one point the sum over windows is that of `score_windows`.
    Passes are independent, so that a window's spread over them gives its standard error.
    A window is likeliest if no supervised position, in any pass, gave another token a higher probability.
    """
    generators = _generators(model)
    points = 1 if model.objective.is_exact else points
    nats = torch.zeros(len(generators), len(windows.counts), dtype=torch.float64)
    likeliest_W = torch.ones(len(windows.counts), dtype=torch.bool)
    for nats_W, rng in zip(nats, generators, strict=True):
        shift_W = stratified_times(len(windows.counts), rng)
        for point in range(points):
            for scored in _scored_batches(model, windows, rng, (point + shift_W) / points, prefix_lengths_W):
                rows = torch.from_numpy(scored.indices)
                nats_B = model.objective.loss(scored.logits_MV, scored.batch).weighted_nats_B
                nats_W.index_add_(0, rows, check_nats(nats_B, model.name) / points)
                wrong_M = scored.logits_MV.argmax(-1) != scored.batch.targets_M
                likeliest_W[rows[scored.batch.row_M[wrong_M]]] = False
    return nats, likeliest_W


def _generators(model: LanguageModel) -> list[torch.Generator]:
    """One for each pass."""
    return [rng_for(model.seed, number) for number in range(model.num_passes)]


def _scored_batches(
    model: LanguageModel,
    windows: Windows,
    rng: torch.Generator,
    t_W: Tensor | None = None,
    prefix_lengths_W: Tensor | None = None,
) -> Iterator[_Scored]:
    """One pass over all windows, some at a time."""
    if t_W is None:
        t_W = stratified_times(len(windows.counts), rng)
    for own, tokens_BS in window_batches(model, windows):
        own_B, S = torch.from_numpy(own), tokens_BS.shape[1]
        mask_BS = None if prefix_lengths_W is None else torch.arange(S) >= prefix_lengths_W[own_B, None]
        sequences = Sequences(tokens_BS, t_W[own_B], rng, model.vocabulary, target_mask_BS=mask_BS)
        batch = model.objective.scoring_batch(sequences)
        if mask_BS is not None:
            scored_M = mask_BS[batch.row_M, batch.token_index_M]
            assert scored_M.all(), "the objective's scoring_batch must honour target_mask_BS"
        yield _Scored(own, batch, model(batch.inputs_BP, batch.positions_M, batch.attention).double())


def window_batches(model: LanguageModel, windows: Windows) -> Iterator[tuple[Keys, Tensor]]:
    """Windows of equal length, as many as go through the model at once: (their indices (B,), their tokens (B, S)).

    The tokens are permuted as the model's training text was.
    """
    for indices, tokens in windows.by_length():
        at_once = max(1, min(_MAX_POSITIONS, _MAX_LOGITS // model.vocabulary.n_ids) // tokens.shape[1])
        for start in range(0, len(indices), at_once):
            own = indices[start : start + at_once]
            yield own, torch.from_numpy(model.permutation.permute(tokens[start : start + at_once], own))
