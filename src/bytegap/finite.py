"""Checks that a model's weights and what it returns are finite, so that no number made of NaN is reported.

A logit of minus infinity gives its symbol probability 0. That is allowed: some models give it to MASK. NaN, plus
infinity and a place where every logit is minus infinity are errors. M places asked, V ids.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from bytegap.errors import ModelError

_MEND = "train it again, or fetch or export the model again"


def check_weights(weights: Iterable[tuple[str, Tensor]], model: str) -> None:
    """ModelError, which names the model and the weight, if a number in one of the named weights is NaN or infinite."""
    for name, weight in weights:
        if not _all_finite(weight):
            message = f"{model}: its weights are not finite: '{name}' holds NaN or infinity: {_MEND}"
            raise ModelError(message)


def check_logits(logits_MV: Tensor, model: str) -> Tensor:
    """The same logits; ModelError, which names the model, unless each place has a finite largest logit."""
    return _checked(logits_MV, logits_MV.amax(-1), model, "logits")  # amax is NaN where any logit is NaN


def check_states(states: Tensor, model: str) -> Tensor:
    """The same hidden states; ModelError, which names the model, if a number in them is NaN or infinite."""
    return _checked(states, states, model, "hidden states")


def check_nats(nats: Tensor, model: str) -> Tensor:
    """The same nats; ModelError, which names the model, if one is NaN or infinite."""
    if _all_finite(nats):
        return nats
    if bool(nats.isnan().any()):
        what = f"is NaN, so its weights are damaged or it diverged in training: {_MEND}"
    else:
        what = "is infinite, because it gives a symbol of the text probability 0: use another model or another text"
    message = f"{model}: the likelihood of the text {what}"
    raise ModelError(message)


def _checked(found: Tensor, looked_at: Tensor, model: str, what: str) -> Tensor:
    if not _all_finite(looked_at):
        message = f"{model}: its {what} are not finite, so its weights are damaged or it diverged in training: {_MEND}"
        raise ModelError(message)
    return found


def _all_finite(numbers: Tensor) -> bool:
    return bool(torch.isfinite(numbers).all())
