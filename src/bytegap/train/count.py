"""FLOPs of one real training step by torch's own counter: the audit's number, independent of the plan's formulas."""

from dataclasses import replace

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bytegap.accounting.flops import TRAINING_FORWARDS, Convention, training_flops
from bytegap.numerics import gradients
from bytegap.objectives._base import Question
from bytegap.train.devices import Devices
from bytegap.train.loop import Training

_MAP_ENTRIES = 2**18
"""Of attention maps at once, a layer and head."""


def step_flops(training: Training, *, head_everywhere: bool) -> int:
    """Forward and backward of batch 0, head at every position or only at the supervised ones.

    Attention runs as plain matmuls here: the counter sees nothing inside a fused kernel on CPU. Training may hold no
    such maps, so few rows are counted at once.
    """
    model, device = training.model, training.spec.numerics.device
    if training.devices.sharded:  # a twin, whole: the counter's hooks and the shards' do not go together
        model, device = training.built(), "cpu"
    question = training.question(0)
    if head_everywhere:
        question = _everywhere(question)
    # The counter does not see compiled code, and is to see no answers that only fill a head's matmul up.
    plain = training.spec.numerics.model_copy(update={"compile": False, "dtype": "float32"})
    step = gradients(model, plain, training.objective.loss)
    rows = max(1, _MAP_ENTRIES // question.inputs_BP.shape[1] ** 2)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        for piece in Devices(rows_at_once=rows).pieces(question):
            step(piece.to(device), 1)
    training.adam.zero_grad()
    return counter.get_total_flops()


def _everywhere(question: Question) -> Question:
    """The same inputs, asked at every position; what is answered there does not matter to the count."""
    rows, positions = question.inputs_BP.shape
    everywhere_M = torch.arange(rows * positions)
    return replace(
        question,
        positions_M=everywhere_M,
        targets_M=torch.zeros_like(everywhere_M),
        weights_M=torch.ones_like(everywhere_M, dtype=question.weights_M.dtype),
        rows_M=everywhere_M // positions,
        places_M=torch.zeros_like(everywhere_M),
    )


def analytic_supervised_flops(training: Training) -> float:
    """What the formulas say of the step that `step_flops` counts, head at the supervised positions."""
    spec = training.spec
    row = training.objective.row(spec.row_symbols, training.options)
    # The head by the batch: answers a row are no whole number, and the audit's two counts are to agree to the last one.
    head = TRAINING_FORWARDS * training.costs.head.flops * len(training.question(0).positions_M)
    return spec.rows_per_batch * training_flops(training.costs, row, Convention(head="none")) + head
