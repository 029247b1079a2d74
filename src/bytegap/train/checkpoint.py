"""A run's state on disk: weights, Adam's moments, the ledger and the step, in one safetensors file written whole."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bytegap.store import whole
from bytegap.train.ledger import Ledger
from bytegap.train.loop import Training


def write(path: Path, training: Training) -> None:
    """Write the state of a run in progress."""
    names = {id(weight): name for name, weight in training.model.named_parameters()}
    tensors = {f"weight/{name}": weight.detach() for name, weight in training.model.named_parameters()}
    for weight, moments in training.adam.state.items():
        for key, value in moments.items():
            tensors[f"adam/{key}/{names[id(weight)]}"] = value
    metadata = {"step": str(training.step), "ledger": training.ledger.to_json()}
    with whole(path) as aside:  # as a file's bytes it would be in memory twice more
        save_file(tensors, aside, metadata)


def resume(path: Path, training: Training) -> None:
    """Put a fresh `Training` where the checkpoint stood; nothing to do without one."""
    if not path.exists():
        return
    with safe_open(path, framework="pt", device=training.spec.numerics.device) as file:
        metadata = file.metadata()
        with torch.no_grad():
            for name, weight in training.model.named_parameters():
                weight.copy_(file.get_tensor(f"weight/{name}"))
        if (step := int(metadata["step"])) > 0:
            for name, weight in training.model.named_parameters():
                training.adam.state[weight] = {
                    key: file.get_tensor(f"adam/{key}/{name}") for key in ("step", "exp_avg", "exp_avg_sq")
                }
    training.step, training.ledger = step, Ledger.from_json(metadata["ledger"])


def write_weights(path: Path, training: Training) -> None:
    """Write the finished weights, names as in the model."""
    tensors = {name: weight.detach() for name, weight in training.model.named_parameters()}
    with whole(path) as aside:
        save_file(tensors, aside)
