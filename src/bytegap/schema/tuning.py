"""Results of the tuning audit: how much the shared rule for learning rate, batch size and weight decay costs an arm."""

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
    weight_decays: tuple[tuple[float, float], ...] = ()
    """(multiple of the rule's weight decay, BPB), all else the rule's; empty where it was not varied."""
    best_rate: Quantity
    """The multiple at the parabola's minimum."""
    best_batch: Quantity
    """The multiple at the parabola's minimum."""
    best_weight_decay: Quantity = Quantity(value=None)
    """The multiple at the parabola's minimum; 0 where no weight decay is best."""
    bracketed: bool
    """Whether the best setting of each axis has a worse neighbour on both sides; none is needed below 0."""
    seed_log_bpb: float | None
    """Standard deviation of log BPB between seeds, pooled over the settings."""
    lost_bpb: Quantity
    """BPB at the rule less BPB at the minimum."""
    lost_compute: Quantity
    """`lost_bpb` as a share of the budget, along the arm's own frontier: 0.1 means a tenth of its compute."""
