"""What probes read from a model: log-probabilities at chosen tokens, hidden states, and the identity of its run.

B sequences, P positions (BOS and tokens), S tokens, M chosen tokens, V ids, L layers, D d_model.
"""

from collections.abc import Iterator
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.lm.language_model import LanguageModel
from bytegap.models.base import Network
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.nn.finite import check_nats, check_states
from bytegap.objectives.base import TargetInputs, with_bos
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
    attention = model.objective.attention
    return attention is not None and attention.causal


def target_logp(model: LanguageModel, tokens_BS: Tensor, targets_BS: Tensor, hidden_BS: Tensor) -> Tensor:
    """(M, V) at the target tokens, sequence after sequence: each given the tokens that are not hidden.

    Given those before it, if the model is causal; a target that is not hidden is ahead.
    """
    parts = _target_inputs(model, tokens_BS, targets_BS, hidden_BS)
    return torch.cat([_logp(model, part.inputs_BP, part.targets_BP, part.attention) for part in parts])


def cut_context_logp(model: LanguageModel, tokens_BS: Tensor, first_B: Tensor) -> Tensor:
    """(B, V) of a causal model at the last token of sequences that are cut from longer ones.

    Tokens keep their positions: `first_B` is the index of each sequence's first token, BOS being at its usual position.
    """
    inputs_BP = with_bos(tokens_BS[:, :-1], model.vocabulary.bos)
    S = tokens_BS.shape[1]
    ids_BP = functional.pad(first_B[:, None] + 1 + torch.arange(S - 1), (1, 0))
    last_BS = (torch.arange(S) == S - 1).expand(tokens_BS.shape)
    return _logp(model, inputs_BP, last_BS, AttentionSpec(causal=True, position_ids=ids_BP))


def hidden_states(model: LanguageModel, tokens_BS: Tensor, hidden_BS: Tensor) -> Tensor:
    """(L + 1, B, S, D) on the CPU: the state at each token's position before the first layer, and after each.

    Of models that take plain sequences; ModelError where states are not finite.
    """
    attention = model.objective.attention
    assert attention is not None
    inputs_BP = with_bos(tokens_BS.masked_fill(hidden_BS, model.vocabulary.mask), model.vocabulary.bos)
    is_token_BP = functional.pad(torch.ones_like(hidden_BS), (1, 0))
    states_LND = _states(model, inputs_BP, is_token_BP, attention)
    return states_LND.view(len(states_LND), *tokens_BS.shape, -1)


def target_states(model: LanguageModel, tokens_BS: Tensor, targets_BS: Tensor, hidden_BS: Tensor) -> Tensor:
    """(L + 1, M, D) on the CPU: the states from which `target_logp` predicts; ModelError where they are not finite."""
    parts = _target_inputs(model, tokens_BS, targets_BS, hidden_BS)
    return torch.cat([_states(model, part.inputs_BP, part.targets_BP, part.attention) for part in parts], 1)


def _target_inputs(
    model: LanguageModel, tokens_BS: Tensor, targets_BS: Tensor, hidden_BS: Tensor
) -> Iterator[TargetInputs]:
    """The inputs of a few sequences at a time: a row for each target, and a mask for each row, take much memory."""
    B, S = tokens_BS.shape
    at_once = max(1, _MAX_POSITIONS // S // S) if model.objective.has_row_per_target else B
    for start in range(0, B, at_once):
        part = slice(start, start + at_once)
        yield model.objective.target_inputs(tokens_BS[part], hidden_BS[part], targets_BS[part], model.vocabulary)


@torch.no_grad()
def _states(model: LanguageModel, inputs_BP: Tensor, chosen_BP: Tensor, attention: AttentionSpec) -> Tensor:
    """(L + 1, M, D) at the chosen positions, row by row."""
    assert isinstance(model.network, Network), "runs have networks of our own"
    layers, at_once = model.network.layers, _sequences_at_once(inputs_BP)
    states: list[list[Tensor]] = [[] for _ in range(len(layers) + 1)]
    for start in range(0, len(inputs_BP), at_once):
        part = slice(start, start + at_once)
        chosen_M = chosen_BP[part].flatten().to(model.device)

        def keep_input(_module: object, inputs: tuple[Tensor, ...], chosen_M: Tensor = chosen_M) -> None:
            states[0].append(inputs[0].flatten(0, 1)[chosen_M].cpu())

        hooks = [layers[0].register_forward_pre_hook(keep_input)]
        for layer, own in zip(layers, states[1:], strict=True):

            def keep_output(
                _module: object,
                _inputs: object,
                output: Tensor,
                own: list[Tensor] = own,
                chosen_M: Tensor = chosen_M,
            ) -> None:
                own.append(output.flatten(0, 1)[chosen_M].cpu())

            hooks.append(layer.register_forward_hook(keep_output))
        own = attention.rows(start, start + at_once).to(model.device)
        model.network.features(inputs_BP[part].to(model.device), None, own)
        for hook in hooks:
            hook.remove()
    return check_states(torch.stack([torch.cat(parts) for parts in states]), model.name)


def entropy_nats(logp: Tensor) -> Tensor:
    """Entropy of each distribution along the last axis; a token of probability 0 adds nothing."""
    return -(logp.exp() * logp).masked_fill(logp == -torch.inf, 0.0).sum(-1)


def surprisal_nats(logp: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of each token under its distribution; ModelError where one has probability 0."""
    return check_nats(-logp.gather(-1, tokens[..., None])[..., 0], "a probed model")


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
