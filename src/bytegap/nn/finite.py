"""Checks that weights, logits, hidden states and likelihoods are finite, so that no number made of NaN is reported.

A logit of minus infinity gives its token probability 0, which is allowed: some models give it to MASK.
NaN, plus infinity, and a position at which every logit is minus infinity are errors.
M positions, V ids.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from bytegap.errors import ModelError

_FIX = "train it again, or fetch or export the model again"


def check_weights(weights: Iterable[tuple[str, Tensor]], model: str) -> None:
    """ModelError if a number in one of the named weights is NaN or infinite; `model` is its name in the message."""
    for name, weight in weights:
        if not _all_finite(weight):
            raise ModelError(f"{model}: its weights are not finite: '{name}' holds NaN or infinity: {_FIX}")


def check_logits(logits_MV: Tensor, model: str) -> Tensor:
    """The same logits; ModelError unless each position has a finite largest logit."""
    return _checked(logits_MV, logits_MV.amax(-1), model, "logits")  # amax is NaN where any logit is NaN


def check_states(states: Tensor, model: str) -> Tensor:
    """The same hidden states; ModelError if a number in them is NaN or infinite."""
    return _checked(states, states, model, "hidden states")


def check_nats(nats: Tensor, model: str) -> Tensor:
    """The same nats; ModelError if one is NaN or infinite."""
    if _all_finite(nats):
        return nats
    if bool(nats.isnan().any()):
        reason = f"is NaN, so its weights are damaged or it diverged in training: {_FIX}"
    else:
        reason = "is infinite, because it gives a token of the text probability 0: use another model or another text"
    raise ModelError(f"{model}: the likelihood of the text {reason}")


def _checked(values: Tensor, summary: Tensor, model: str, name: str) -> Tensor:
    """`values`, if all numbers of `summary` are finite."""
    if not _all_finite(summary):
        raise ModelError(
            f"{model}: its {name} are not finite, so its weights are damaged or it diverged in training: {_FIX}"
        )
    return values


def _all_finite(numbers: Tensor) -> bool:
    return bool(torch.isfinite(numbers).all())
