"""Effective context of AR models: the loss on a byte against the number of bytes before it that the model is given.

Sequences are cut, not masked: BOS and the last c bytes, each at its own position.
Models that were trained on permuted text are given permuted text.
B windows, S bytes, C bytes of the longest context and the target.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.probe.metrics import mean_and_se
from bytegap.probe.predict import cut_context_logp, is_causal, run_fields, surprisal_nats
from bytegap.probe.windows import ProbeWindows
from bytegap.schema.plan import RunSpec
from bytegap.schema.probe import ContextLoss

TARGETS = 4
"""Bytes of a window, the same for every length of context."""
TOLERANCE = 0.01
"""The effective length is the shortest whose loss is within this share of the longest's."""


def context_loss(model: LanguageModel, spec: RunSpec, windows: Sequence[ProbeWindows]) -> list[ContextLoss]:
    """One row; none for models that are not causal, or where windows are too short to be cut."""
    longest = spec.seq_len // 2
    if not is_causal(model):
        return []
    long_enough = [permuted(each, model) for each in windows if each.tokens_BS.shape[1] > longest]
    if not long_enough:
        return []
    lengths = sorted({*(2**power for power in range(longest.bit_length()) if 2**power < longest), longest})
    rng = rng_for(spec.seed, 4)
    stretches: list[Tensor] = []
    firsts: list[Tensor] = []
    for tokens_BS in long_enough:
        for _ in range(TARGETS):
            target_B = torch.randint(longest, tokens_BS.shape[1], (len(tokens_BS),), generator=rng)
            stretches.append(tokens_BS.gather(1, target_B[:, None] + torch.arange(-longest, 1)))
            firsts.append(target_B - longest)
    stretch_BC, first_B = torch.cat(stretches), torch.cat(firsts)
    nats: list[float] = []
    errors: list[float] = []
    for length in lengths:
        cut_BC = stretch_BC[:, -length - 1 :]
        logp_BV = cut_context_logp(model, cut_BC, first_B + longest - length)
        mean, error = mean_and_se(surprisal_nats(logp_BV, cut_BC[:, -1]).double())
        nats.append(mean)
        errors.append(error)
    effective = next(length for length, own in zip(lengths, nats, strict=True) if own <= nats[-1] * (1 + TOLERANCE))
    return [
        ContextLoss(
            **run_fields(spec), lengths=tuple(lengths), nats=tuple(nats), nats_se=tuple(errors), effective=effective
        )
    ]


def permuted(windows: ProbeWindows, model: LanguageModel) -> Tensor:
    """The windows' tokens, permuted as in the model's training."""
    return torch.from_numpy(model.permutation.permute(windows.tokens_BS.numpy(), windows.keys_B))
