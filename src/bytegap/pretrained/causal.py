"""Any causal model that `transformers` itself knows (llama, mistral, qwen2, qwen3 ...), asked left to right.

Nothing but `transformers`' own code runs, on safetensors alone. Whether a later symbol can reach an earlier answer is
tried out on the model: some classes that are loaded as causal are not, and would score far too well.
"""

from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from bytegap import plugins
from bytegap.errors import ModelError, nearest
from bytegap.pretrained._folder import LONGEST_DEFAULT, row_symbols, symbols_of, weight_files
from bytegap.sight import CAUSAL, Memory, Sight
from bytegap.trained import Trained

_TRIED = 16  # symbols


def opened(home: Path, given: dict[str, Any], context: int | None) -> Trained:
    """The model in the folder `home`, on the CPU, in float32; ModelError says why it is not to be had."""
    transformers = _transformers(home)
    _refuse_unknown(home, given, transformers)
    weight_files(home)
    try:
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            str(home), trust_remote_code=False, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # noqa: BLE001 - it raises whatever its parts do
        message = f"{home}: transformers cannot load it: {str(error).strip().splitlines()[0]}"
        raise ModelError(message) from None
    for what, names in (("lack", found["missing_keys"]), ("have, and it does not know,", found["unexpected_keys"])):
        if names:
            message = f"{home}: its weights {what} '{min(names)}' ({len(names)} in all): they are not its config.json's"
            raise ModelError(message)
    network = Causal(model.float().eval())
    _refuse_sight_of_what_follows(home, network)
    tokenizer, vocabulary = symbols_of(home, given, network.ids)
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST_DEFAULT + 1
    return Trained(
        name=home.resolve().name,
        network=network,
        objective=plugins.load("objectives", "ar"),
        options=plugins.options("objectives", "ar", {}),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        row_symbols=row_symbols(home, positions, context),
        passes=1,
        seed=0,
    )


class Causal(nn.Module):
    """A model of `transformers` as ours are called; what a memory kept it reads again, which every architecture can."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._read = WeakKeyDictionary[Memory, Tensor]()
        self.ids: int = model.get_output_embeddings().weight.shape[0]

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None, sight: Sight) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (B * P, V) at all; a position sees those up to itself."""
        start = 0
        if sight.memory is None:
            assert sight == CAUSAL
        else:
            start = sight.memory.length
            if start:
                ids_BP = torch.cat((self._read[sight.memory][:, :start], ids_BP), 1)
            self._read[sight.memory] = ids_BP
        logits_NV = self.model(input_ids=ids_BP, use_cache=False).logits[:, start:].flatten(0, 1)
        return logits_NV if positions_M is None else logits_NV.index_select(0, positions_M)


def _transformers(home: Path) -> Any:
    try:
        import transformers
    except ImportError:
        message = f"{home}: models of others are loaded by transformers: pip install 'bytegap[hf]'"
        raise ModelError(message) from None
    return transformers


def _refuse_unknown(home: Path, given: dict[str, Any], transformers: ModuleType) -> None:
    known = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    kind = given.get("model_type")
    if kind in known:
        return
    code = ", and its own code is not run" if "auto_map" in given else ""
    message = (
        f"{home / 'config.json'}: model_type {kind!r} is neither 'llada' nor 'mdlm' nor a causal model of transformers'"
        f"{code}: {nearest(str(kind), [*known, 'llada', 'mdlm'])}"
    )
    raise ModelError(message)


@torch.no_grad()
def _refuse_sight_of_what_follows(home: Path, network: Causal) -> None:
    """ModelError where the last symbol of a row moves what is said before it."""
    ids_BP = torch.randint(network.ids, (1, _TRIED), generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    ids_BP[1, -1] = (ids_BP[1, -1] + 1) % network.ids
    one_PV, other_PV = network(ids_BP, None, CAUSAL).unflatten(0, (2, _TRIED))
    if (one_PV - other_PV)[:-1].abs().max() > 1e-4 * one_PV.abs().max():
        message = f"{home}: what it says of a symbol depends on those that follow: it is no causal model"
        raise ModelError(message)
