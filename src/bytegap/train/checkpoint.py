"""A run's state on disk: weights, Adam's moments, the ledger and the step, in one file written whole.

The one before is kept beside it: where the last is damaged, training resumes from there.
"""

from pathlib import Path

import torch

from bytegap.console import say
from bytegap.errors import StoreError
from bytegap.tensors import read_tensors, write_tensors
from bytegap.train.devices import like, whole
from bytegap.train.ledger import Ledger
from bytegap.train.loop import Training

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def write(path: Path, training: Training) -> None:
    """Write the state of a run in progress, the last one moving to `before(path)`; of many devices the first writes."""
    names = {id(weight): name for name, weight in training.model.named_parameters()}
    tensors = {f"weight/{name}": whole(weight.detach()) for name, weight in training.model.named_parameters()}
    for weight, moments in training.adam.state.items():
        for key, value in moments.items():
            tensors[f"adam/{key}/{names[id(weight)]}"] = whole(value)
    if not training.devices.is_first:
        return
    new = path.with_suffix(".new")
    write_tensors(new, tensors, {"step": str(training.step), "ledger": training.ledger.to_json()})
    if path.exists():
        path.replace(before(path))
    new.replace(path)


def before(path: Path) -> Path:
    """Where the checkpoint before the last lies."""
    return path.with_suffix(".before")


def resume(path: Path, training: Training) -> None:
    """Put a fresh `Training` where the last checkpoint stood that is whole; at its start without one."""
    for each in (path, before(path)):
        if not each.exists():
            continue
        try:
            _restore(each, training)
        except StoreError as error:
            say("train", f"{error}: not read; its run goes on from the checkpoint before, or from its start")
        else:
            return


def _restore(path: Path, training: Training) -> None:
    tensors, words = read_tensors(path, training.spec.numerics.device)
    weights = dict(training.model.named_parameters())
    step = int(words["step"])
    expected = {f"weight/{name}": weight.shape for name, weight in weights.items()}
    if step > 0:
        expected |= {
            f"adam/{key}/{name}": torch.Size() if key == "step" else weight.shape
            for name, weight in weights.items()
            for key in _MOMENTS
        }
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        message = f"{path} is of another model"
        raise StoreError(message)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(like(tensors[f"weight/{name}"], weight))
    if step > 0:
        for name, weight in weights.items():
            kept = {key: tensors[f"adam/{key}/{name}"] for key in _MOMENTS}
            training.adam.state[weight] = {k: kept[k] if k == "step" else like(kept[k], weight) for k in _MOMENTS}
    training.step, training.ledger = step, Ledger.from_json(words["ledger"])


def clear(path: Path) -> None:
    """Remove what a finished run no longer needs."""
    for each in (path, before(path), path.with_suffix(".new")):
        each.unlink(missing_ok=True)


def write_weights(path: Path, training: Training) -> None:
    """Write the finished weights, names as in the model."""
    tensors = {name: whole(weight.detach()) for name, weight in training.model.named_parameters()}
    if training.devices.is_first:
        write_tensors(path, tensors)
