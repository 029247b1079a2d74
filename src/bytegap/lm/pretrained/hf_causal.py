"""Causal models that the package `transformers` implements (llama, mistral, qwen2, qwen3 ...).

Only code of `transformers` runs, and only safetensors are read.
Some classes that load as causal models are not causal, and would score far too well: causality is therefore checked by
running the model.
Reads config.json, *.safetensors and the tokenizer's file.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypedDict, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from bytegap.errors import ModelError, nearest
from bytegap.extras import missing_extra
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import MASKED_FAMILIES, MAX_DEFAULT_SEQ_LEN, JsonObject, sequence_length
from bytegap.lm.pretrained.tokenizer_files import load_tokenizer_and_ids
from bytegap.lm.pretrained.weight_files import weight_files
from bytegap.nn.attention_spec import CAUSAL, AttentionSpec
from bytegap.nn.kv_cache import KVCache
from bytegap.objectives.ar import Autoregressive

_CHECKED_TOKENS = 16
_CAUSAL_TOLERANCE = 1e-4
"""Of the largest logit: how far a later token may move earlier logits by rounding."""


class _TheirModel(Protocol):
    """What is used of a model of `transformers`."""

    @property
    def config(self) -> object: ...

    def get_output_embeddings(self) -> nn.Linear: ...

    def float(self) -> nn.Module: ...


class _LoadingInfo(TypedDict):
    missing_keys: set[str]
    unexpected_keys: set[str]


def load(folder: Path, config: JsonObject, context: int | None) -> LanguageModel:
    """The model in `folder`, on the CPU, in float32; ModelError says why it cannot be loaded."""
    try:
        import transformers
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    except ModuleNotFoundError as error:
        raise missing_extra(f"loading {folder}", error) or error from None
    _check_known(folder, config, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    weight_files(folder)
    try:
        pair = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), trust_remote_code=False, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # noqa: BLE001 - its parts raise errors of any type
        raise ModelError(f"{folder}: transformers cannot load it: {str(error).strip().splitlines()[0]}") from None
    theirs, loaded = cast("tuple[_TheirModel, _LoadingInfo]", pair)  # its own type hint knows one element only
    for what, names in (("missing", loaded["missing_keys"]), ("unexpected", loaded["unexpected_keys"])):
        if names:
            raise ModelError(
                f"{folder}: {what} weight '{min(names)}' ({len(names)} in all): weights and config.json do not match"
            )
    n_ids = theirs.get_output_embeddings().weight.shape[0]
    network = CausalNetwork(theirs.float().eval(), n_ids)
    _check_causal(folder, network)
    tokenizer, vocabulary = load_tokenizer_and_ids(folder, config, network.n_ids)
    max_positions: int = getattr(theirs.config, "max_position_embeddings", None) or MAX_DEFAULT_SEQ_LEN + 1
    return LanguageModel(
        name=folder.resolve().name,
        network=network,
        objective=Autoregressive(),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        seq_len=sequence_length(folder, max_positions, context),
        mc_passes=1,
    )


class CausalNetwork(nn.Module):
    """A model of `transformers`, called as our networks are.

    It runs cached positions again, which works for every architecture.
    """

    def __init__(self, model: nn.Module, n_ids: int) -> None:
        """Wrap a causal model whose head has `n_ids` rows."""
        super().__init__()
        self.model = model
        self.n_ids = n_ids
        self._cached_ids = WeakKeyDictionary[KVCache, Tensor]()

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None, attention: AttentionSpec) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (B * P, V) at all positions."""
        start = 0
        if attention.cache is None:
            assert attention == CAUSAL
        else:
            start = attention.cache.length
            if start:
                ids_BP = torch.cat((self._cached_ids[attention.cache][:, :start], ids_BP), 1)
            self._cached_ids[attention.cache] = ids_BP
        logits_NV: Tensor = self.model(input_ids=ids_BP, use_cache=False).logits[:, start:].flatten(0, 1)
        return logits_NV if positions_M is None else logits_NV.index_select(0, positions_M)


def _check_known(folder: Path, config: JsonObject, known: Iterable[str]) -> None:
    """ModelError unless `transformers` itself implements the model as a causal one."""
    model_type, names = config.get("model_type"), list(known)
    if model_type in names:
        return
    code = ", and its own code is not run" if "auto_map" in config else ""
    raise ModelError(
        f"{folder / 'config.json'}: model_type {model_type!r} is no causal model of transformers{code}, and "
        f"none of {', '.join(MASKED_FAMILIES)}: {nearest(str(model_type), [*names, *MASKED_FAMILIES])}"
    )


@torch.no_grad()
def _check_causal(folder: Path, network: CausalNetwork) -> None:
    """ModelError where the last token of a sequence changes earlier logits."""
    rng = torch.Generator().manual_seed(0)
    ids_BP = torch.randint(network.n_ids, (1, _CHECKED_TOKENS), generator=rng).repeat(2, 1)
    ids_BP[1, -1] = (ids_BP[1, -1] + 1) % network.n_ids
    one_PV, other_PV = network(ids_BP, None, CAUSAL).unflatten(0, (2, _CHECKED_TOKENS))
    if (one_PV - other_PV)[:-1].abs().max() > _CAUSAL_TOLERANCE * one_PV.abs().max():
        raise ModelError(f"{folder}: its predictions depend on later tokens: it is not a causal model")
