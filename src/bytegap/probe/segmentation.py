"""Segmentation: do a byte model's entropy and surprisal show where tokens and words begin?

Measured at the next byte (AR); at the byte after a visible left part, and at hidden bytes for several mask ratios
(MDM). For comparison, the same with a bigram model of the training text.
B windows, S bytes, N positions, M measured bytes, V ids.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.probe.metrics import detect
from bytegap.probe.predict import (
    RunFields,
    entropy_nats,
    is_causal,
    run_fields,
    surprisal_nats,
    target_logp,
)
from bytegap.probe.windows import ProbeWindows
from bytegap.schema.plan import RunSpec
from bytegap.schema.probe import Segmentation

if TYPE_CHECKING:
    from numpy.typing import NDArray

MASK_RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
LEFT_CONTEXT_TARGETS = 8
"""Bytes of a window measured from their left context alone; each takes a forward of its own."""


class _Scores:
    """Entropy, surprisal and boundary labels under one conditioning, collected over windows."""

    def __init__(self) -> None:
        self.scores: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        self.labels: dict[str, list[NDArray[np.bool_]]] = defaultdict(list)

    def add(self, logp_MV: Tensor, windows: ProbeWindows, targets_BS: Tensor) -> None:
        """Log-probabilities at the targets, window after window."""
        self.scores["entropy"].append(entropy_nats(logp_MV).double().numpy())
        self.scores["surprisal"].append(surprisal_nats(logp_MV, windows.tokens_BS[targets_BS]).double().numpy())
        for name, starts_BS in windows.starts.items():
            self.labels[name].append(starts_BS[targets_BS].numpy())

    def rows(self, fields: RunFields, conditioning: str) -> Iterator[Segmentation]:
        """A row for each kind of boundary and score."""
        for boundary, labels in self.labels.items():
            is_start_N = np.concatenate(labels)
            if not 0 < is_start_N.sum() < len(is_start_N):
                continue
            for score, values in self.scores.items():
                found = detect(np.concatenate(values), is_start_N)
                yield Segmentation(
                    **fields,
                    conditioning=conditioning,
                    boundary=boundary,
                    score=score,
                    auc=found.auc,
                    average_precision=found.average_precision,
                    best_f1=found.best_f1,
                    base_rate=found.base_rate,
                    positions=found.positions,
                )


def segmentation(model: LanguageModel, spec: RunSpec, windows: Iterable[ProbeWindows]) -> list[Segmentation]:
    """Rows for every conditioning that suits the run's objective."""
    by_conditioning: dict[str, _Scores] = defaultdict(_Scores)
    rng = rng_for(spec.seed, 1)
    for each in windows:
        tokens_BS = each.tokens_BS
        B, S = tokens_BS.shape
        inner_BS = _inner(tokens_BS, model.vocabulary.eos)
        if is_causal(model):
            logp_MV = target_logp(model, tokens_BS, inner_BS, torch.zeros_like(inner_BS))
            by_conditioning["next byte"].add(logp_MV, each, inner_BS)
            continue
        for ratio in MASK_RATIOS:
            hidden_BS = torch.rand((B, S), generator=rng).argsort(1).argsort(1) < max(1, round(ratio * S))
            targets_BS = hidden_BS & inner_BS
            logp_MV = target_logp(model, tokens_BS, targets_BS, hidden_BS)
            by_conditioning[f"mask {ratio:g}"].add(logp_MV, each, targets_BS)
        left_contexts = 1 + torch.randperm(S - 1, generator=rng)[:LEFT_CONTEXT_TARGETS]
        for index in cast("list[int]", left_contexts.tolist()):
            hidden_BS = (torch.arange(S) >= index).expand(B, S)
            targets_BS = (torch.arange(S) == index) & inner_BS
            logp_MV = target_logp(model, tokens_BS, targets_BS, hidden_BS)
            by_conditioning["left context"].add(logp_MV, each, targets_BS)
    fields = run_fields(spec)
    return [row for conditioning, scores in by_conditioning.items() for row in scores.rows(fields, conditioning)]


def bigram_segmentation(spec: RunSpec, pairs_VV: Tensor, windows: Iterable[ProbeWindows]) -> list[Segmentation]:
    """The same for a bigram model with one count added to each pair; the run gives the rows' budget and size."""
    logp_VV = (pairs_VV.double() + 1).log()
    logp_VV -= logp_VV.logsumexp(1, keepdim=True)
    scores = _Scores()
    for each in windows:
        inner_BS = _inner(each.tokens_BS, len(pairs_VV) - 1)
        scores.add(logp_VV[each.tokens_BS.roll(1, 1)[inner_BS]], each, inner_BS)
    fields = run_fields(spec)
    fields["run"], fields["arm"] = "", "bigram"
    return list(scores.rows(fields, "next byte"))


def _inner(tokens_BS: Tensor, eos: int) -> Tensor:
    """All bytes but a window's first, where everything begins, and EOS, which is no byte."""
    return (tokens_BS != eos) & (torch.arange(tokens_BS.shape[1]) > 0)
