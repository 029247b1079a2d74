"""Do a byte model's entropy and surprisal tell where tokens and words begin?

Asked of the next byte (AR), of the byte after a row's visible left part (MDM), and of hidden bytes at several mask
ratios. Beside them a bigram model of the training text, and what chance gives. B windows, S bytes, N positions.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from bytegap.likelihood import stream
from bytegap.probe.detection import detect
from bytegap.probe.models import Asked, entropy_nats, surprisal_nats
from bytegap.probe.texts import Texts
from bytegap.records import RunSpec, Segmentation

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
LEFT_PLACES = 8
"""Places a window asked about from their left context alone: each is a forward of its own."""


class _Signals:
    """Entropy, surprisal and labels of one way of asking, gathered over windows."""

    def __init__(self) -> None:
        self.signals: dict[str, list[np.ndarray]] = defaultdict(list)
        self.labels: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, logp_MV: Tensor, text: Texts, asked_BS: Tensor) -> None:
        """The places asked about, row after row."""
        self.signals["entropy"].append(entropy_nats(logp_MV).double().numpy())
        self.signals["surprisal"].append(surprisal_nats(logp_MV, text.symbols_BS[asked_BS]).double().numpy())
        for name, starts_BS in text.starts.items():
            self.labels[name].append(starts_BS[asked_BS].numpy())

    def rows(self, spec: RunSpec, given: str) -> Iterator[Segmentation]:
        """One a signal and kind of boundary."""
        for kind, labels in self.labels.items():
            is_start_N = np.concatenate(labels)
            if not 0 < is_start_N.sum() < len(is_start_N):
                continue
            for signal, values in self.signals.items():
                found = detect(np.concatenate(values), is_start_N)
                yield Segmentation(
                    run=spec.id,
                    arm=spec.arm,
                    budget_flops=spec.budget_flops,
                    non_embedding_parameters=spec.non_embedding_parameters,
                    given=given,
                    boundary=kind,
                    signal=signal,
                    **vars(found),
                )


def of_run(asked: Asked, texts: Iterable[Texts]) -> list[Segmentation]:
    """Every way of asking that suits the run's objective."""
    found: dict[str, _Signals] = defaultdict(_Signals)
    generator = stream(asked.spec.seed, 1)
    for text in texts:
        symbols_BS = text.symbols_BS
        B, S = symbols_BS.shape
        inner_BS = _inner(symbols_BS, asked.vocabulary.eos)
        if asked.causal:
            found["next byte"].add(asked.next_ones(symbols_BS, inner_BS), text, inner_BS)
            continue
        for ratio in RATIOS:
            hidden_BS = torch.rand((B, S), generator=generator).argsort(1).argsort(1) < max(1, round(ratio * S))
            asked_BS = hidden_BS & inner_BS
            found[f"mask {ratio:g}"].add(asked.hidden_ones(symbols_BS, asked_BS, hidden_BS), text, asked_BS)
        for place in (1 + torch.randperm(S - 1, generator=generator)[:LEFT_PLACES]).tolist():
            hidden_BS = (torch.arange(S) >= place).expand(B, S)
            asked_BS = (torch.arange(S) == place) & inner_BS
            found["left context"].add(asked.hidden_ones(symbols_BS, asked_BS, hidden_BS), text, asked_BS)
    return [row for given, signals in found.items() for row in signals.rows(asked.spec, given)]


def _inner(symbols_BS: Tensor, eos: int) -> Tensor:
    """All places but a window's first, which begins everything, and EOS, which is no byte."""
    return (symbols_BS != eos) & (torch.arange(symbols_BS.shape[1]) > 0)


def of_bigrams(spec: RunSpec, pairs_VV: Tensor, texts: Iterable[Texts]) -> list[Segmentation]:
    """The same of a bigram model with one count added to each pair: what needs no network."""
    logp_VV = (pairs_VV.double() + 1).log()
    logp_VV -= logp_VV.logsumexp(1, keepdim=True)
    signals = _Signals()
    for text in texts:
        inner_BS = _inner(text.symbols_BS, len(pairs_VV) - 1)
        signals.add(logp_VV[text.symbols_BS.roll(1, 1)[inner_BS]], text, inner_BS)
    return [row.model_copy(update={"arm": "bigram", "run": ""}) for row in signals.rows(spec, "next byte")]
