"""One run on several devices: rows of a batch divided, gradients summed, weights replicated or sharded.

The plan fixes which rows a batch has and what their loss is divided by, whatever the number of devices.
Replicated weights are data parallelism with one all-reduce a step, as in DDP; sharded weights are FSDP2's
(`fully_shard`).
A single device is the plain case.
"""

# torch's own types are partial:
# pyright: reportUnknownMemberType=false

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bytegap.errors import StudyError
from bytegap.models.base import Network
from bytegap.objectives.base import Batch


@dataclass(frozen=True)
class Devices:
    """The devices that train a run together, one process each, and which of them is this process's."""

    rank: int = 0
    world: int = 1
    """Number of devices."""
    sharded: bool = False
    """Whether each device holds only a shard of the weights."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and log lines."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """StudyError where a batch has fewer rows than there are devices."""
        if batch_size < self.world:
            raise StudyError(
                f"a batch of {batch_size} rows cannot be divided over {self.world} devices: start at most {batch_size}"
            )

    def shard(self, network: Network) -> None:
        """Shard the weights, if they are to be: each layer is one unit, the rest another.

        The head is no unit of its own: it runs once per chunk of positions, and devices have different numbers of them.
        """
        if not self.sharded:
            return
        from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

        for unit in (*network.layers, network):
            fully_shard(unit)
        register_fsdp_forward_method(network, "features")
        for unit in network.modules():
            if isinstance(unit, FSDPModule):  # sums, not means: the loss is divided by the tokens of the full batch
                unit.set_force_sum_reduction_for_comms(enable=True)
                unit.set_gradient_divide_factor(1.0)

    def micro_batches(self, batch: Batch, micro_batch_size: int = 0) -> Iterator[Batch]:
        """This device's rows of a batch, `micro_batch_size` at a time at most (0: all at once).

        Every device gets as many micro-batches as the others.
        """
        rows = len(batch.inputs_BP)
        start, stop = rows * self.rank // self.world, rows * (self.rank + 1) // self.world
        largest_share = ceil(rows / self.world)
        pieces = ceil(largest_share / (micro_batch_size or largest_share))
        if pieces == self.world == 1:
            yield batch
            return
        for piece in range(pieces):
            first, end = (start + (stop - start) * number // pieces for number in (piece, piece + 1))
            # Devices run collectives in step: one without a row left runs a row without targets.
            yield batch.rows(first, end) if end > first else batch.rows(start, start + 1).select(slice(0))

    def all_reduce_grads(self, network: nn.Module, nats: Tensor, supervised: int) -> Tensor:
        """Sum gradients over all devices; returns the summed (nats, supervised), (2,) float64, without waiting."""
        sums = torch.stack([nats, torch.full_like(nats, supervised)])
        if self.world == 1:
            return sums
        if not self.sharded:
            gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat)
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, summed in zip(gradients, torch.split(flat, sizes), strict=True):
                gradient.copy_(summed.view_as(gradient))
        dist.all_reduce(sums)
        return sums

    def all_reduce_max(self, value: int) -> int:
        """The largest value of any device; all devices must call this."""
        if self.world == 1:
            return value
        values = torch.tensor(int(value), device=_collective_device())
        dist.all_reduce(values, dist.ReduceOp.MAX)
        return int(values)


SINGLE_DEVICE = Devices()


def full_tensor(tensor: Tensor) -> Tensor:
    """The full tensor of one that may be sharded, on every device; all devices must call this."""
    if type(tensor) in {Tensor, nn.Parameter}:
        return tensor
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A full tensor, sharded as `other` is if that is sharded."""
    if type(other) in {Tensor, nn.Parameter}:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(other, DTensor):
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements)


def init_process_group(*, sharded: bool) -> Devices:
    """Join the processes that torchrun started, and bind this one to its GPU if there are any."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    return Devices(dist.get_rank(), dist.get_world_size(), sharded)


def destroy_process_group() -> None:
    """Leave the other processes, all at once.

    Garbage is collected first: models hold the group, whose threads must not outlive it.
    """
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()


def _collective_device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
