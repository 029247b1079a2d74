"""A trained model, opened to be asked: network, objective, symbols. Reads a run's folder and its study's tokens/."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.errors import StoreError
from bytegap.finite import check_logits, check_weights
from bytegap.objectives._base import Vocabulary
from bytegap.records import RunSpec, TokensManifest
from bytegap.sight import Sight
from bytegap.store import Folder, read_record
from bytegap.symbols import Tokenizer, reopen
from bytegap.tensors import read_tensors


@dataclass(frozen=True)
class Trained:
    """What evaluation, compression and sampling know of a model, wherever it is from."""

    name: str
    network: Any
    objective: ModuleType
    options: Any
    """The objective's."""
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    row_symbols: int
    """S, the symbols it was trained to hold after BOS."""
    passes: int
    """Of a likelihood estimate, where it is one."""
    seed: int

    def __call__(self, inputs_BP: Tensor, positions_M: Tensor, sight: Sight) -> Tensor:
        """Logits (M, V) on the CPU, at flat positions b * P + p; ModelError if they are not finite."""
        if self.device == "cpu":
            logits_MV = self.network(inputs_BP, positions_M, sight)
        else:
            given = (inputs_BP.to(self.device), positions_M.to(self.device), sight.to(self.device))
            logits_MV = self.network(*given).cpu()
        return check_logits(logits_MV, self.name)

    @cached_property
    def device(self) -> str:
        """Where the network is."""
        return str(next(self.network.parameters()).device)


def spec_of(home: Path) -> RunSpec:
    """What the run in the folder `home` is; StoreError where it is none."""
    if not (home / "spec.json").is_file():
        message = f"{home} is no run's folder: name one of out/STUDY/runs/, as 'bytegap runs STUDY.toml' lists them"
        raise StoreError(message)
    return read_record(home / "spec.json", RunSpec, "train")


def network_of(home: Path, spec: RunSpec) -> Any:
    """The run's network with its weights, on the CPU, in float32.

    StoreError where they are missing or damaged, ModelError where one is NaN or infinite.
    """
    module = plugins.load("models", spec.model)
    network = module.build(module.Shape(**spec.shape))
    try:
        weights, _ = read_tensors(home / "weights.safetensors")
    except StoreError as error:
        message = f"{error}: the run's weights are needed; delete its folder and run 'bytegap train' again"
        raise StoreError(message) from None
    check_weights(weights.items(), f"{spec.arm} {spec.id}")
    network.load_state_dict(weights)
    return network.eval()


def open_run(home: Path) -> Trained:
    """The run in the folder `home`, out/STUDY/runs/ID, on an accelerator if there is one.

    Its study's folder must be around it, for the symbols' bytes in tokens/. StoreError where something is missing, or
    the run is of a changed order: what it would say of plain text means nothing.
    """
    spec = spec_of(home)
    if spec.order != "identity":
        message = f"{home} was trained on text in the order '{spec.order}': name a run in the order of the text"
        raise StoreError(message)
    folder = Folder(home.resolve().parent.parent)
    manifest = read_record(folder.tokens_of(spec.tokens) / "manifest.json", TokensManifest, "tokens")
    if manifest.content != spec.tokens_content:
        message = f"{home}: its study's symbols '{spec.tokens}' were made anew after it was trained: train it again"
        raise StoreError(message)
    return Trained(
        name=f"{spec.arm} {spec.id}",
        network=network_of(home, spec).to("cuda" if torch.cuda.is_available() else "cpu"),
        objective=plugins.load("objectives", spec.objective),
        options=plugins.options("objectives", spec.objective, spec.objective_options),
        vocabulary=Vocabulary(manifest.vocabulary),
        tokenizer=reopen(folder, manifest),
        row_symbols=spec.row_symbols,
        passes=spec.evaluation_passes,
        seed=spec.seed,
    )
