"""FLOPs of one real training step by torch's own counter: independent of the plan's formulas."""

from dataclasses import replace

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bytegap.cost.flops import TRAINING_FORWARDS, Convention, training_flops
from bytegap.lm import execution
from bytegap.objectives.base import Batch
from bytegap.train.parallel import SINGLE_DEVICE
from bytegap.train.trainer import Trainer

_MAP_ENTRIES = 2**18  # of attention maps in memory at once, per layer and head


def step_flops(trainer: Trainer, *, head_everywhere: bool) -> int:
    """Forward and backward FLOPs of batch 0, with the head at every position or only at the supervised ones.

    Attention runs as plain matmuls here, since the counter sees nothing inside a fused CPU kernel.
    Few rows are counted at a time, since training may never hold such attention maps.
    """
    network, device = trainer.network, trainer.spec.execution.device
    if trainer.devices.sharded:  # a full copy: hooks of the counter and of the shards do not work together
        network, device = trainer.config.build(), "cpu"
    batch = trainer.batch(0)
    if head_everywhere:
        batch = _targets_everywhere(batch)
    # The counter does not see compiled code, and must not see the padding of a bfloat16 head.
    plain = trainer.spec.execution.model_copy(update={"compile": False, "dtype": "float32"})
    fill_gradients = execution.gradient_fn(network, plain, trainer.objective.loss)
    rows = max(1, _MAP_ENTRIES // batch.inputs_BP.shape[1] ** 2)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        for micro_batch in SINGLE_DEVICE.micro_batches(batch, rows):
            fill_gradients(micro_batch.to(device), 1)
    trainer.adam.zero_grad()
    return counter.get_total_flops()


def _targets_everywhere(batch: Batch) -> Batch:
    """The same inputs with a target at every position; which target does not matter to the count."""
    rows, positions = batch.inputs_BP.shape
    everywhere_M = torch.arange(rows * positions)
    return replace(
        batch,
        positions_M=everywhere_M,
        targets_M=torch.zeros_like(everywhere_M),
        weights_M=torch.ones_like(everywhere_M, dtype=batch.weights_M.dtype),
        row_M=everywhere_M // positions,
        token_index_M=torch.zeros_like(everywhere_M),
    )


def analytic_supervised_flops(trainer: Trainer) -> float:
    """The formulas' FLOPs of the step that `step_flops` counts with the head at the supervised positions."""
    spec, costs = trainer.spec, trainer.config.costs()
    sequence = trainer.objective.sequence_cost(spec.seq_len)
    # The head by the batch: supervised positions per sequence are a mean, and both counts must agree exactly.
    head = TRAINING_FORWARDS * costs.head.flops * len(trainer.batch(0).positions_M)
    return spec.batch_size * training_flops(costs, sequence, Convention(head="none")) + head
