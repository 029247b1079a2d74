"""One run on many devices: rows of a batch shared out, gradients summed, weights whole or in shards.

Which rows a batch has, and what they are divided by, is the plan's, whatever the number of devices. Whole weights are
data parallelism as DDP has it, one all-reduce a step; shards are FSDP2's (`fully_shard`). One device is the plain case.
"""

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bytegap.errors import StudyError
from bytegap.objectives._base import Question


@dataclass(frozen=True)
class Devices:
    """Which of how many this process is; whether weights are in shards; rows through the model at once, 0 for all."""

    rank: int = 0
    world: int = 1
    sharded: bool = False
    rows_at_once: int = 0

    @property
    def is_first(self) -> bool:
        """The one that writes and tells."""
        return self.rank == 0

    def check(self, rows: int) -> None:
        """StudyError where a batch has fewer rows than there are devices."""
        if rows < self.world:
            message = f"a batch of {rows} rows cannot be shared by {self.world} devices: start at most {rows}"
            raise StudyError(message)

    def lay(self, model: Any) -> None:
        """Shard the weights, if they are to be: each layer a unit, all else one.

        The head is not one of its own: it runs once a chunk of answers, of which devices have more or fewer.
        """
        if not self.sharded:
            return
        from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

        for unit in (*model.layers, model):
            fully_shard(unit)
        register_fsdp_forward_method(model, "features")
        for unit in model.modules():
            if isinstance(unit, FSDPModule):  # sums, not means: the loss is divided by the whole batch's symbols
                unit.set_force_sum_reduction_for_comms(enable=True)
                unit.set_gradient_divide_factor(1.0)

    def pieces(self, question: Question) -> Iterator[Question]:
        """This device's rows of a batch, so many at once that memory suffices, in as many pieces as any device's."""
        rows = len(question.inputs_BP)
        start, stop = rows * self.rank // self.world, rows * (self.rank + 1) // self.world
        most = ceil(rows / self.world)
        pieces = ceil(most / (self.rows_at_once or most))
        if pieces == self.world == 1:
            yield question
            return
        for piece in range(pieces):
            first, end = (start + (stop - start) * each // pieces for each in (piece, piece + 1))
            # Devices in step: one that has no row left takes a row and answers nothing.
            yield question.rows(first, end) if end > first else question.rows(start, start + 1).part(slice(0))

    def sum_up(self, model: nn.Module, nats: Tensor, supervised: int) -> Tensor:
        """Gradients over all devices; loss and count too, (2,) in float64, not yet waited for."""
        sums = torch.stack([nats, torch.full_like(nats, supervised)])
        if self.world == 1:
            return sums
        if not self.sharded:
            gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat)
            for gradient, summed in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
                gradient.copy_(summed.view_as(gradient))
        dist.all_reduce(sums)
        return sums

    def agreed(self, wish: int) -> int:
        """The largest wish of any device."""
        if self.world == 1:
            return wish
        wishes = torch.tensor(int(wish), device=_device())
        dist.all_reduce(wishes, dist.ReduceOp.MAX)
        return int(wishes)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may lie in shards, on every device; all must ask."""
    in_shards: Any = tensor
    return in_shards.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor in shards, if `model` is."""
    if not hasattr(model, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    placed: Any = model
    return distribute_tensor(tensor, placed.device_mesh, placed.placements)


def joined(*, sharded: bool, rows_at_once: int) -> Devices:
    """This process among those that torchrun started."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    return Devices(dist.get_rank(), dist.get_world_size(), sharded, rows_at_once)


def part() -> None:
    """Leave the others, all at once; what is left of a model holds the group, whose threads must not outlive it."""
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
