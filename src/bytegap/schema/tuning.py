"""Results of the tuning audit: how much the shared rule for learning rate and batch size costs an arm."""

from bytegap.schema.base import FrozenModel, Quantity


class TuningRow(FrozenModel):
    """The audit of the rule at one budget of one arm, in validation BPB."""

    arm: str
    budget_flops: float
    non_embedding_parameters: int
    rates: tuple[tuple[float, float], ...]
    """(multiple of the rule's learning rate, BPB) at the rule's batch size."""
    batches: tuple[tuple[float, float], ...]
    """(multiple of the rule's batch size in tokens, BPB) at the rule's learning rate."""
    best_rate: Quantity
    """The multiple at the parabola's minimum."""
    best_batch: Quantity
    """The multiple at the parabola's minimum."""
    bracketed: bool
    """Whether the best setting of either axis has a worse neighbour on both sides."""
    seed_log_bpb: float | None
    """Standard deviation of log BPB between seeds, pooled over the settings."""
    lost_bpb: Quantity
    """BPB at the rule less BPB at the minimum."""
    lost_compute: Quantity
    """`lost_bpb` as a share of the budget, along the arm's own frontier: 0.1 means a tenth of its compute."""
