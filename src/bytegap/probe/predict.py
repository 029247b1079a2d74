"""What probes read from a model: log-probabilities at chosen tokens, hidden states, and the identity of its run.

B sequences, P positions (BOS and tokens), S tokens, M chosen tokens, V ids, L layers, D d_model.
"""

from typing import TypedDict

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.lm.language_model import LanguageModel
from bytegap.models.base import Network
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.nn.finite import check_nats, check_states
from bytegap.objectives.base import with_bos
from bytegap.schema.plan import RunSpec

_MAX_POSITIONS = 8192  # through the model at once


class RunFields(TypedDict):
    """The fields that all rows of a probe share."""

    run: str
    arm: str
    budget_flops: float
    non_embedding_parameters: int


def run_fields(spec: RunSpec) -> RunFields:
    """The run that a row is about."""
    return RunFields(
        run=spec.id,
        arm=spec.arm,
        budget_flops=spec.budget_flops,
        non_embedding_parameters=spec.non_embedding_parameters,
    )


def is_causal(model: LanguageModel) -> bool:
    """Whether the model predicts each token from those before it, not from both sides."""
    return _attention(model).causal


def next_token_logp(
    model: LanguageModel,
    tokens_BS: Tensor,
    targets_BS: Tensor,
    hidden_BS: Tensor | None = None,
    first_B: Tensor | None = None,
) -> Tensor:
    """(M, V) of a causal model at the target tokens, sequence after sequence: each given the tokens before it.

    Tokens of `hidden_BS` are replaced by MASK.
    Sequences cut from longer ones keep their positions: `first_B` is the index of each one's first token, BOS being at
    its usual position.
    """
    visible_BS = tokens_BS if hidden_BS is None else tokens_BS.masked_fill(hidden_BS, model.vocabulary.mask)
    inputs_BP = with_bos(visible_BS[:, :-1], model.vocabulary.bos)
    attention = AttentionSpec(causal=True)
    if first_B is not None:
        ids_BP = functional.pad(first_B[:, None] + 1 + torch.arange(inputs_BP.shape[1] - 1), (1, 0))
        attention = AttentionSpec(causal=True, position_ids=ids_BP)
    return _logp(model, inputs_BP, targets_BS, attention)


def hidden_token_logp(model: LanguageModel, tokens_BS: Tensor, targets_BS: Tensor, hidden_BS: Tensor) -> Tensor:
    """(M, V) of a bidirectional model at the target tokens, sequence after sequence, given all tokens not hidden."""
    inputs_BP = _masked_inputs(model, tokens_BS, hidden_BS)
    return _logp(model, inputs_BP, functional.pad(targets_BS, (1, 0)), AttentionSpec(causal=False))


@torch.no_grad()
def hidden_states(model: LanguageModel, tokens_BS: Tensor, hidden_BS: Tensor) -> Tensor:
    """(L + 1, B, S, D) on the CPU: the state at each token's position before the first layer, and after each.

    ModelError where they are not finite.
    """
    assert isinstance(model.network, Network), "runs have networks of our own"
    inputs_BP, layers = _masked_inputs(model, tokens_BS, hidden_BS), model.network.layers
    states: list[list[Tensor]] = [[] for _ in range(len(layers) + 1)]

    def keep_input(_module: object, inputs: tuple[Tensor, ...]) -> None:
        states[0].append(inputs[0].cpu())

    hooks = [layers[0].register_forward_pre_hook(keep_input)]
    for layer, own in zip(layers, states[1:], strict=True):

        def keep_output(_module: object, _inputs: object, output: Tensor, own: list[Tensor] = own) -> None:
            own.append(output.cpu())

        hooks.append(layer.register_forward_hook(keep_output))
    at_once = _sequences_at_once(inputs_BP)
    for start in range(0, len(inputs_BP), at_once):
        inputs = inputs_BP[start : start + at_once]
        model.network.features(inputs.to(model.device), None, _attention(model))
    for hook in hooks:
        hook.remove()
    return check_states(torch.stack([torch.cat(parts)[:, 1:] for parts in states]), model.name)


def entropy_nats(logp: Tensor) -> Tensor:
    """Entropy of each distribution along the last axis; a token of probability 0 adds nothing."""
    return -(logp.exp() * logp).masked_fill(logp == -torch.inf, 0.0).sum(-1)


def surprisal_nats(logp: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of each token under its distribution; ModelError where one has probability 0."""
    return check_nats(-logp.gather(-1, tokens[..., None])[..., 0], "a probed model")


def _attention(model: LanguageModel) -> AttentionSpec:
    attention = model.objective.attention
    assert attention is not None, "the stage probes objectives that take plain sequences"
    return attention


def _masked_inputs(model: LanguageModel, tokens_BS: Tensor, hidden_BS: Tensor) -> Tensor:
    return with_bos(tokens_BS.masked_fill(hidden_BS, model.vocabulary.mask), model.vocabulary.bos)


def _sequences_at_once(inputs_BP: Tensor) -> int:
    return max(1, _MAX_POSITIONS // inputs_BP.shape[1])


@torch.no_grad()
def _logp(model: LanguageModel, inputs_BP: Tensor, targets_BP: Tensor, attention: AttentionSpec) -> Tensor:
    """(M, V) at the target positions."""
    parts: list[Tensor] = []
    at_once = _sequences_at_once(inputs_BP)
    for start in range(0, len(inputs_BP), at_once):
        positions_M = targets_BP[start : start + at_once].flatten().nonzero()[:, 0]
        own = attention.rows(start, start + at_once)
        parts.append(model(inputs_BP[start : start + at_once], positions_M, own))
    return torch.cat(parts).log_softmax(-1)
