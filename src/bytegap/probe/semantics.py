"""Do hidden states know the word and the token that a byte is in? Linear probes, layer by layer (Alain & Bengio 2016).

A multinomial logistic regression reads the label off the state at the byte's own position: at bytes that are visible
(AR: once they are read), and at hidden ones. Layer 0 is the embeddings, which know the byte and no more. Labels come
from the text: the commonest words, and the commonest symbols of each other symbol set. B windows, S bytes, N positions,
L layers and the embeddings, D width, K labels.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.likelihood import stream
from bytegap.probe.models import Asked
from bytegap.probe.segmentation import RATIOS
from bytegap.probe.texts import Texts
from bytegap.records import Semantics

LABELS = 50
"""The commonest, by the half of the windows that probes are fitted on; bytes in others are left out."""
LEAST = 500
"""Positions to fit on, below which there is no probe."""
RIDGE = 1.0
_ITERATIONS = 100


def of_run(asked: Asked, texts: Sequence[Texts]) -> list[Semantics]:
    """One row a way of hiding, place and kind of label, with an accuracy a layer."""
    if asked.causal:
        return list(_rows(asked, texts, "all up to it", None))
    return [row for ratio in RATIOS for row in _rows(asked, texts, f"mask {ratio:g}", ratio)]


def _rows(asked: Asked, texts: Sequence[Texts], given: str, ratio: float | None) -> Iterator[Semantics]:
    generator = stream(asked.spec.seed, 5)
    states, hidden, fitting = [], [], []
    for text in texts:
        B, S = text.symbols_BS.shape
        hidden_BS = torch.zeros(B, S, dtype=torch.bool)
        if ratio is not None:
            hidden_BS = torch.rand((B, S), generator=generator).argsort(1).argsort(1) < max(1, round(ratio * S))
        states.append(asked.states(text.symbols_BS, hidden_BS).flatten(1, 2))
        hidden.append(hidden_BS.flatten())
        fitting.append((torch.arange(B) < B // 2)[:, None].expand(B, S).flatten())
    states_LND, hidden_N, fitting_N = torch.cat(states, 1).double(), torch.cat(hidden), torch.cat(fitting)
    for label in texts[0].labels:
        label_N = commonest(torch.cat([text.labels[label].flatten() for text in texts]), fitting_N)
        for at, there_N in (("visible", ~hidden_N), ("hidden", hidden_N)):
            known_N = there_N & (label_N >= 0)
            fit_N, test_N = known_N & fitting_N, known_N & ~fitting_N
            if fit_N.sum() < LEAST or not test_N.any():
                continue
            truth_N = label_N[test_N]
            guesses = [predict(x_ND[test_N], *fit(x_ND[fit_N], label_N[fit_N])) for x_ND in states_LND]
            yield Semantics(
                run=asked.spec.id,
                arm=asked.spec.arm,
                budget_flops=asked.spec.budget_flops,
                non_embedding_parameters=asked.spec.non_embedding_parameters,
                given=given,
                mask_ratio=ratio,
                at="visible" if at == "visible" else "hidden",
                label=label,
                labels=int(label_N.max()) + 1,
                chance=float((truth_N == label_N[fit_N].mode().values).double().mean()),
                accuracy=[float((guess_N == truth_N).double().mean()) for guess_N in guesses],
                positions=len(truth_N),
            )


def commonest(label_N: Tensor, counted_N: Tensor) -> Tensor:
    """Labels renumbered from the commonest on, as counted where `counted_N`; -1 for all but the first `LABELS`."""
    found_K, count_K = label_N[counted_N & (label_N >= 0)].unique(return_counts=True)
    kept_K = found_K[count_K.argsort(descending=True, stable=True)[:LABELS]]
    same_NK = label_N[:, None] == kept_K
    return torch.where(same_NK.any(1), same_NK.long().argmax(1), -1)


def fit(x_ND: Tensor, label_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(weights (D + 1, K), mean, deviation) of least cross-entropy plus RIDGE / 2 of the squared weights, by L-BFGS."""
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
    """The likeliest label of each."""
    return (functional.pad((x_ND - mean_D) / deviation_D, (0, 1), value=1.0) @ weights_DK).argmax(1)
