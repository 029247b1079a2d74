"""Infilling: a gap of g bytes at a random place of a window, all bytes around it visible.

Two measurements of each gap. The nats of its bytes given the text on both sides, under the model's own likelihood or
bound of them, the average over orders of the gap's own bytes. And the bytes that the model's sampler fills in, the
likeliest at each step of the sampler's own order, against those of the text.

Gaps are the same for all models of a study, so that models are compared gap by gap.
B windows, S bytes, D held-out documents, P passes.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for, stratified_times
from bytegap.nn.finite import check_nats
from bytegap.objectives.base import Sequences
from bytegap.probe.predict import is_causal, run_fields
from bytegap.probe.windows import ProbeWindows
from bytegap.sampling.base import SamplingSettings
from bytegap.schema.base import label
from bytegap.schema.plan import RunSpec
from bytegap.schema.probe import Infilling

GAPS = (1, 2, 4, 8, 16)
"""g, bytes."""
FILLED = 200
"""Windows whose gaps are filled, spread over all: filling takes a forward a byte."""
_STREAM = 7
_LIKELIEST = SamplingSettings(temperature=0)


def infilling(
    model: LanguageModel, spec: RunSpec, windows: Iterable[ProbeWindows], document_W: Tensor
) -> list[Infilling]:
    """A row for each g; none for causal models, which do not see the text after the gap.

    `document_W`: the held-out document of each window of the split.
    """
    if is_causal(model):
        return []
    windows = list(windows)
    every = max(1, sum(len(each.keys_B) for each in windows) // FILLED)
    rows: list[Infilling] = []
    for gap in GAPS:
        fitting = [each for each in windows if each.tokens_BS.shape[1] >= gap]
        nats_D = torch.zeros(int(document_W.max()) + 1, dtype=torch.float64)
        count_D = torch.zeros_like(nats_D)
        right: list[int] = []
        for each in fitting:
            gap_BS = draw_gaps(each, gap)
            keys_B = torch.from_numpy(each.keys_B)
            nats_B = gap_nats(model, each.tokens_BS, gap_BS, gap)
            nats_D.index_add_(0, document_W[keys_B], nats_B)
            count_D.index_add_(0, document_W[keys_B], torch.ones_like(nats_B))
            right += [
                _bytes_restored(model, each.tokens_BS[row], gap_BS[row], key)
                for row, key in enumerate(each.keys_B.tolist())
                if key % every == 0
            ]
        rows.append(
            Infilling(
                **run_fields(spec),
                gap=gap,
                objective=_objective(spec),
                windows=int(count_D.sum()),
                nats_per_byte=float(nats_D.sum() / count_D.sum() / gap),
                document_nats=tuple(cast("list[float]", nats_D.tolist())),
                document_bytes=tuple(cast("list[int]", (count_D.long() * gap).tolist())),
                filled=len(right),
                bytes_restored=sum(right) / (gap * len(right)),
                exact_match=sum(n == gap for n in right) / len(right),
            )
        )
    return rows


def draw_gaps(windows: ProbeWindows, gap: int) -> Tensor:
    """A stretch of `gap` tokens in each window, (B, S), bool; its place depends on the window and the length alone."""
    S = windows.tokens_BS.shape[1]
    generators = [rng_for(_STREAM, gap, key) for key in windows.keys_B.tolist()]
    start_B = torch.cat([torch.randint(S - gap + 1, (1,), generator=rng) for rng in generators])
    from_start_BS = torch.arange(S) - start_B[:, None]
    return (from_start_BS >= 0) & (from_start_BS < gap)


@torch.no_grad()
def gap_nats(model: LanguageModel, tokens_BS: Tensor, gap_BS: Tensor, gap: int) -> Tensor:
    """Nats of each window's gap given all other tokens, (B,), float64: the mean of the model's passes."""
    total_B = torch.zeros(len(tokens_BS), dtype=torch.float64)
    for number in range(model.num_passes):
        rng = rng_for(model.seed, _STREAM, gap, number)
        t_B = stratified_times(len(tokens_BS), rng)
        sequences = Sequences(tokens_BS, t_B, rng, model.vocabulary, target_mask_BS=gap_BS)
        batch = model.objective.scoring_batch(sequences)
        logits_MV = model(batch.inputs_BP, batch.positions_M, batch.attention).double()
        total_B += check_nats(model.objective.loss(logits_MV, batch).weighted_nats_B, model.name)
    return total_B / model.num_passes


@torch.no_grad()
def _bytes_restored(model: LanguageModel, tokens_S: Tensor, gap_S: Tensor, key: int) -> int:
    """How many bytes of the gap the likeliest filling has right."""
    filled_S = tokens_S.masked_fill(gap_S, model.vocabulary.mask)
    for _ in model.objective.sampler().generate(model, filled_S, _LIKELIEST, rng_for(_STREAM, key)):
        pass
    return int((filled_S == tokens_S)[gap_S].sum())


def _objective(spec: RunSpec) -> str:
    own = label(spec.objective, spec.objective_options)
    return f"{own}, {label(spec.model, spec.model_options)}" if spec.model_options else own
