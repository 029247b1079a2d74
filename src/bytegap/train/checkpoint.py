"""A run's state on disk: weights, Adam's moments, metrics and step, in one file that is written atomically.

The previous checkpoint is kept as well: where the last one is damaged, training resumes from it.
Reads and writes runs/ID/checkpoint.{safetensors,before}; writes runs/ID/weights.safetensors.
"""

import logging
from pathlib import Path

import torch

from bytegap.errors import StudyDirError
from bytegap.io.tensors import read_tensors, write_tensors
from bytegap.study.directory import RunDir
from bytegap.train.metrics import TrainMetrics
from bytegap.train.parallel import full_tensor, shard_like
from bytegap.train.trainer import Trainer

_logger = logging.getLogger(__name__)
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def write(run_dir: RunDir, trainer: Trainer) -> None:
    """Write the state of a run, keeping the last checkpoint as the previous one; the first device writes."""
    names = {id(weight): name for name, weight in trainer.network.named_parameters()}
    tensors = {f"weight/{name}": full_tensor(weight.detach()) for name, weight in trainer.network.named_parameters()}
    for weight, moments in trainer.adam.state.items():
        for key, value in moments.items():
            tensors[f"adam/{key}/{names[id(weight)]}"] = full_tensor(value)
    if not trainer.devices.is_first:
        return
    path, new = run_dir.checkpoint_path, _new_path(run_dir)
    write_tensors(new, tensors, {"step": str(trainer.step), "metrics": trainer.metrics.to_json()})
    if path.exists():
        path.replace(run_dir.previous_checkpoint_path)
    new.replace(path)


def _new_path(run_dir: RunDir) -> Path:
    return run_dir.checkpoint_path.with_suffix(".new")


def resume(run_dir: RunDir, trainer: Trainer) -> None:
    """Restore the newest checkpoint that is not damaged into a fresh trainer; without one, leave it at its start."""
    for path in (run_dir.checkpoint_path, run_dir.previous_checkpoint_path):
        if not path.exists():
            continue
        try:
            _restore(path, trainer)
        except StudyDirError as error:
            _logger.warning(
                "%s: not read; its run resumes from the previous checkpoint, or from its start",
                error,
                extra={"stage": "train"},
            )
        else:
            return


def _restore(path: Path, trainer: Trainer) -> None:
    tensors, metadata = read_tensors(path, trainer.spec.execution.device)
    weights = dict(trainer.network.named_parameters())
    step = int(metadata["step"])
    expected = {f"weight/{name}": weight.shape for name, weight in weights.items()}
    if step > 0:
        expected |= {
            f"adam/{key}/{name}": torch.Size() if key == "step" else weight.shape
            for name, weight in weights.items()
            for key in _MOMENTS
        }
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        raise StudyDirError(f"{path} is of another model")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(shard_like(tensors[f"weight/{name}"], weight))
    if step > 0:
        for name, weight in weights.items():
            kept = {key: tensors[f"adam/{key}/{name}"] for key in _MOMENTS}
            trainer.adam.state[weight] = {k: kept[k] if k == "step" else shard_like(kept[k], weight) for k in _MOMENTS}
    trainer.step, trainer.metrics = step, TrainMetrics.from_json(metadata["metrics"])


def clear(run_dir: RunDir) -> None:
    """Remove the checkpoints of a finished run."""
    for path in (run_dir.checkpoint_path, run_dir.previous_checkpoint_path, _new_path(run_dir)):
        path.unlink(missing_ok=True)


def write_weights(run_dir: RunDir, trainer: Trainer) -> None:
    """Write the finished weights under their names in the network; the first device writes."""
    tensors = {name: full_tensor(weight.detach()) for name, weight in trainer.network.named_parameters()}
    if trainer.devices.is_first:
        write_tensors(run_dir.weights_path, tensors)
