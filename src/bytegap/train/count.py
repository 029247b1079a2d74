"""FLOPs of one real training step by torch's own counter: the audit's number, independent of the plan's formulas."""

from dataclasses import replace

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bytegap.accounting.flops import TRAINING_FORWARDS, Convention, training_flops
from bytegap.numerics import gradients
from bytegap.objectives._base import Question
from bytegap.train.loop import Training


def step_flops(training: Training, *, head_everywhere: bool) -> int:
    """Forward and backward of batch 0, head at every position or only at the supervised ones.

    Attention runs as plain matmuls here: the counter sees nothing inside a fused kernel on CPU.
    """
    model, device = training.model, training.spec.numerics.device
    if training.devices.sharded:  # a twin, whole: the counter's hooks and the shards' do not go together
        model, device = training.built(), "cpu"
    question = training.question(0).to(device)
    if head_everywhere:
        question = _everywhere(question)
    eager = training.spec.numerics.model_copy(update={"compile": False})  # the counter does not see compiled code
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        gradients(model, eager, training.objective.loss)(question, 1)
    training.adam.zero_grad()
    return counter.get_total_flops()


def _everywhere(question: Question) -> Question:
    """The same inputs, asked at every position; what is answered there does not matter to the count."""
    rows, positions = question.inputs_BP.shape
    everywhere_M = torch.arange(rows * positions, device=question.inputs_BP.device)
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
