"""FLOPs of one real training step by torch's own counter: the audit's number, independent of the plan's formulas."""

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bytegap.accounting.flops import Convention, training_flops
from bytegap.train.loop import Training


def step_flops(training: Training, *, head_everywhere: bool) -> int:
    """Forward and backward of batch 0, head at every position or only at the supervised ones.

    Attention runs as plain matmuls here: the counter sees nothing inside a fused kernel on CPU.
    """
    question = training.question(0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        if head_everywhere:
            logits_MV = training.model(question.inputs_BP)[question.positions_M]
        else:
            logits_MV = training.model(question.inputs_BP, question.positions_M)
        training.objective.loss(logits_MV, question).weighted_nats_B.sum().backward()
    training.adam.zero_grad()
    return counter.get_total_flops()


def analytic_supervised_flops(training: Training) -> float:
    """What the formulas say of the step that `step_flops` counts, head at the supervised positions."""
    rows, positions = training.question(0).inputs_BP.shape
    supervised = len(training.question(0).positions_M) / rows
    return rows * training_flops(training.costs, positions, supervised, Convention(head="supervised"))
