"""Linear probes, layer by layer: do hidden states determine the word and the token that a byte is in?

A multinomial logistic regression predicts the label from the state at the byte's own position (Alain and Bengio 2016,
arXiv 1610.01644), for visible bytes (AR: once they are read) and for hidden ones. Of models with a row for each target,
such as those of patches, only for hidden ones, from the state that predicts them.
Layer 0 is the embedding, which depends on the byte alone.
Labels come from the text: the most frequent words, and the most frequent tokens of each other tokenizer.
B windows, S bytes, N positions, L layers and the embedding, D d_model, K labels.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.probe.predict import hidden_states, is_causal, run_fields, target_states
from bytegap.probe.segmentation import MASK_RATIOS
from bytegap.probe.windows import ProbeWindows
from bytegap.schema.plan import RunSpec
from bytegap.schema.probe import LinearProbe

MAX_LABELS = 50
"""The most frequent labels of the fitting half of the windows; bytes with other labels are left out."""
MIN_POSITIONS = 500
"""Positions to fit on, below which no probe is fitted."""
RIDGE = 1.0
_ITERATIONS = 100


def linear_probes(model: LanguageModel, spec: RunSpec, windows: Sequence[ProbeWindows]) -> list[LinearProbe]:
    """A row for each conditioning, kind of position and kind of label, with an accuracy for each layer."""
    if is_causal(model):
        return list(_rows(model, spec, windows, None))
    return [row for ratio in MASK_RATIOS for row in _rows(model, spec, windows, ratio)]


def _rows(
    model: LanguageModel, spec: RunSpec, windows: Sequence[ProbeWindows], mask_ratio: float | None
) -> Iterator[LinearProbe]:
    states_LND, kept_N, hidden_N, fitting_N = _states(model, spec, windows, mask_ratio)
    positions: tuple[tuple[Literal["visible", "hidden"], Tensor], ...] = (
        ("visible", ~hidden_N),
        ("hidden", hidden_N),
    )
    for label in windows[0].labels:
        labels = torch.cat([each.labels[label].flatten() for each in windows])[kept_N]
        label_N = most_frequent(labels, fitting_N)
        for at, chosen_N in positions:
            labelled_N = chosen_N & (label_N >= 0)
            fit_N, test_N = labelled_N & fitting_N, labelled_N & ~fitting_N
            if fit_N.sum() < MIN_POSITIONS or not test_N.any():
                continue
            truth_N = label_N[test_N]
            guesses = [predict(x_ND[test_N], *fit(x_ND[fit_N], label_N[fit_N])) for x_ND in states_LND]
            yield LinearProbe(
                **run_fields(spec),
                conditioning="all up to it" if mask_ratio is None else f"mask {mask_ratio:g}",
                mask_ratio=mask_ratio,
                at=at,
                label=label,
                labels=int(label_N.max()) + 1,
                chance=float((truth_N == label_N[fit_N].mode().values).double().mean()),
                accuracy=tuple(float((guess_N == truth_N).double().mean()) for guess_N in guesses),
                positions=len(truth_N),
            )


def _states(
    model: LanguageModel, spec: RunSpec, windows: Sequence[ProbeWindows], mask_ratio: float | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States (L, N, D), of which bytes of the windows (N,), which are hidden (N,), and which are fitted on (N,).

    The first half of the windows is fitted on.
    """
    rng = rng_for(spec.seed, 5)
    states: list[Tensor] = []
    kept: list[Tensor] = []
    hidden: list[Tensor] = []
    fitting: list[Tensor] = []
    start = 0
    for each in windows:
        B, S = each.tokens_BS.shape
        hidden_BS = torch.zeros(B, S, dtype=torch.bool)
        if mask_ratio is not None:
            hidden_BS = torch.rand((B, S), generator=rng).argsort(1).argsort(1) < max(1, round(mask_ratio * S))
        if model.objective.has_row_per_target:
            kept_N = hidden_BS.flatten().nonzero()[:, 0]
            states.append(target_states(model, each.tokens_BS, hidden_BS, hidden_BS))
        else:
            kept_N = torch.arange(B * S)
            states.append(hidden_states(model, each.tokens_BS, hidden_BS).flatten(1, 2))
        kept.append(start + kept_N)
        hidden.append(hidden_BS.flatten()[kept_N])
        fitting.append(kept_N // S < B // 2)
        start += B * S
    return torch.cat(states, 1).double(), torch.cat(kept), torch.cat(hidden), torch.cat(fitting)


def most_frequent(label_N: Tensor, counted_N: Tensor) -> Tensor:
    """Labels renumbered by frequency among the counted positions; -1 for all but the first `MAX_LABELS`."""
    counted_labels_N = label_N[counted_N & (label_N >= 0)]
    if not len(counted_labels_N):
        return torch.full_like(label_N, -1)
    found_K, count_K = cast("tuple[Tensor, Tensor]", counted_labels_N.unique(return_counts=True))
    kept_K = found_K[count_K.argsort(descending=True, stable=True)[:MAX_LABELS]]
    same_NK = label_N[:, None] == kept_K
    return torch.where(same_NK.any(1), same_NK.long().argmax(1), -1)


def fit(x_ND: Tensor, label_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(weights (D + 1, K), mean (D,), standard deviation (D,)) of a logistic regression on standardized inputs.

    Minimizes mean cross-entropy plus RIDGE / (2 N) of the squared weights without biases, by L-BFGS.
    """
    mean_D, deviation_D = x_ND.mean(0), x_ND.std(0).clamp(min=1e-6)
    inputs_ND = functional.pad((x_ND - mean_D) / deviation_D, (0, 1), value=1.0)
    weights_DK = torch.zeros(inputs_ND.shape[1], int(label_N.max()) + 1, dtype=x_ND.dtype, requires_grad=True)
    search = torch.optim.LBFGS([weights_DK], max_iter=_ITERATIONS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        loss = functional.cross_entropy(inputs_ND @ weights_DK, label_N)
        loss = loss + RIDGE / 2 * weights_DK[:-1].square().sum() / len(label_N)
        loss.backward()
        return loss

    search.step(closure)  # pyright: ignore[reportArgumentType] - torch's own hint says float where it takes a tensor
    return weights_DK.detach(), mean_D, deviation_D


def predict(x_ND: Tensor, weights_DK: Tensor, mean_D: Tensor, deviation_D: Tensor) -> Tensor:
    """The likeliest label of each state, (N,)."""
    return (functional.pad((x_ND - mean_D) / deviation_D, (0, 1), value=1.0) @ weights_DK).argmax(1)
