"""A finished run's model, ready to be asked. B rows, P positions, V ids."""

import torch
from torch import Tensor
from torch.nn import functional

from bytegap import plugins
from bytegap.finite import check_logits, check_nats, check_states
from bytegap.objectives._base import Vocabulary, with_bos
from bytegap.records import RunSpec
from bytegap.sight import Sight
from bytegap.store import Folder
from bytegap.trained import network_of

_POSITIONS = 8192  # through the model at once


class Asked:
    """Log-probabilities of what is hidden in rows of symbols, or of what comes next."""

    def __init__(self, folder: Folder, spec: RunSpec) -> None:
        self.model, self.spec = network_of(folder.run(spec.id), spec), spec
        self.sight: Sight = plugins.load("objectives", spec.objective).SIGHT
        self.vocabulary = Vocabulary(spec.shape["vocabulary"] - 3)

    @property
    def name(self) -> str:
        """The arm and the run."""
        return f"{self.spec.arm} {self.spec.id}"

    @property
    def causal(self) -> bool:
        """Whether it reads from left to right."""
        return self.sight.causal

    def next_ones(
        self, symbols_BS: Tensor, asked_BS: Tensor, hidden_BS: Tensor | None = None, first_B: Tensor | None = None
    ) -> Tensor:
        """(M, V) at the places asked, row after row: each symbol given those before it, of which some may be hidden.

        A row may be cut from a longer one: its symbols then stand at `first_B` of it and beyond, BOS where it was.
        """
        seen_BS = symbols_BS if hidden_BS is None else symbols_BS.masked_fill(hidden_BS, self.vocabulary.mask)
        inputs_BP = with_bos(seen_BS[:, :-1], self.vocabulary.bos)
        if first_B is None:
            return self._log_probabilities(inputs_BP, asked_BS, causal=True)
        places_BP = functional.pad(first_B[:, None] + 1 + torch.arange(inputs_BP.shape[1] - 1), (1, 0))
        return self._log_probabilities(inputs_BP, asked_BS, causal=True, places_BP=places_BP)

    def hidden_ones(self, symbols_BS: Tensor, asked_BS: Tensor, hidden_BS: Tensor) -> Tensor:
        """(M, V) at the places asked, row after row: each symbol given all that is not hidden."""
        inputs_BP = with_bos(symbols_BS.masked_fill(hidden_BS, self.vocabulary.mask), self.vocabulary.bos)
        return self._log_probabilities(inputs_BP, functional.pad(asked_BS, (1, 0)), causal=False)

    @torch.no_grad()
    def states(self, symbols_BS: Tensor, hidden_BS: Tensor) -> Tensor:
        """(L, B, S, D): what each symbol's position holds before the first layer, and after each."""
        inputs_BP = with_bos(symbols_BS.masked_fill(hidden_BS, self.vocabulary.mask), self.vocabulary.bos)
        kept: list[list[Tensor]] = [[] for _ in range(len(self.model.layers) + 1)]
        hooks = [self.model.layers[0].register_forward_pre_hook(lambda _, given: kept[0].append(given[0]))]
        for layer, own in zip(self.model.layers, kept[1:], strict=True):
            hooks.append(layer.register_forward_hook(lambda *call, own=own: own.append(call[2])))
        for inputs in inputs_BP.split(max(1, _POSITIONS // inputs_BP.shape[1])):
            self.model.features(inputs, None, self.sight)
        for hook in hooks:
            hook.remove()
        return check_states(torch.stack([torch.cat(parts)[:, 1:] for parts in kept]), self.name)

    @torch.no_grad()
    def _log_probabilities(
        self, inputs_BP: Tensor, asked_BP: Tensor, *, causal: bool, places_BP: Tensor | None = None
    ) -> Tensor:
        parts: list[Tensor] = []
        rows = max(1, _POSITIONS // inputs_BP.shape[1])
        for start in range(0, len(inputs_BP), rows):
            own = slice(start, start + rows)
            sight = Sight(causal=causal, places_P=None if places_BP is None else places_BP[own])
            parts.append(self.model(inputs_BP[own], asked_BP[own].flatten().nonzero()[:, 0], sight))
        return check_logits(torch.cat(parts), self.name).log_softmax(-1)


def entropy_nats(logp: Tensor) -> Tensor:
    """Of each distribution along the last axis; a symbol of probability 0 adds nothing."""
    return -(logp.exp() * logp).masked_fill(logp == -torch.inf, 0.0).sum(-1)


def surprisal_nats(logp: Tensor, symbols: Tensor) -> Tensor:
    """What each symbol costs under its distribution; ModelError where one has probability 0."""
    return check_nats(-logp.gather(-1, symbols[..., None])[..., 0], "a probed model")
