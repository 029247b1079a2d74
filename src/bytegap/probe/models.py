"""A finished run's model, ready to be asked. B rows, P positions, V ids."""

import torch
from safetensors.torch import load_file
from torch import Tensor

from bytegap import plugins
from bytegap.errors import StoreError
from bytegap.objectives._base import Vocabulary, with_bos
from bytegap.records import RunSpec
from bytegap.sight import ALL, CAUSAL, Sight
from bytegap.store import Folder

_POSITIONS = 8192  # through the model at once


class Asked:
    """Log-probabilities of what is hidden in rows of symbols, or of what comes next."""

    def __init__(self, folder: Folder, spec: RunSpec) -> None:
        path = folder.run(spec.id) / "weights.safetensors"
        if not path.is_file():
            message = f"{path} is missing: a probe needs the run's weights; run 'bytegap train' for this study again"
            raise StoreError(message)
        module = plugins.load("models", spec.model)
        model = module.build(module.Shape(**spec.shape))
        model.load_state_dict(load_file(path))
        self.model, self.spec = model.eval(), spec
        self.causal = plugins.load("objectives", spec.objective).SIGHT.causal
        self.vocabulary = Vocabulary(spec.shape["vocabulary"] - 3)

    def next_ones(self, symbols_BS: Tensor, asked_BS: Tensor, hidden_BS: Tensor | None = None) -> Tensor:
        """(M, V) at the places asked, row after row: each symbol given those before it, of which some may be hidden."""
        seen_BS = symbols_BS if hidden_BS is None else symbols_BS.masked_fill(hidden_BS, self.vocabulary.mask)
        return self._log_probabilities(with_bos(seen_BS[:, :-1], self.vocabulary.bos), asked_BS, CAUSAL)

    def hidden_ones(self, symbols_BS: Tensor, asked_BS: Tensor, hidden_BS: Tensor) -> Tensor:
        """(M, V) at the places asked, row after row: each symbol given all that is not hidden."""
        inputs_BP = with_bos(symbols_BS.masked_fill(hidden_BS, self.vocabulary.mask), self.vocabulary.bos)
        return self._log_probabilities(inputs_BP, torch.nn.functional.pad(asked_BS, (1, 0)), ALL)

    @torch.no_grad()
    def _log_probabilities(self, inputs_BP: Tensor, asked_BP: Tensor, sight: Sight) -> Tensor:
        rows = max(1, _POSITIONS // inputs_BP.shape[1])
        parts = [
            self.model(inputs, asked.flatten().nonzero()[:, 0], sight)
            for inputs, asked in zip(inputs_BP.split(rows), asked_BP.split(rows), strict=True)
        ]
        return torch.cat(parts).log_softmax(-1)


def entropy_nats(logp: Tensor) -> Tensor:
    """Of each distribution along the last axis."""
    return -(logp.exp() * logp).sum(-1)


def surprisal_nats(logp: Tensor, symbols: Tensor) -> Tensor:
    """What each symbol costs under its distribution."""
    return -logp.gather(-1, symbols[..., None])[..., 0]
