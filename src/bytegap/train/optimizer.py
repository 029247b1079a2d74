"""AdamW and its learning rate schedule, as a plan's `OptimizerConfig` resolves them."""

import torch
from torch import nn

from bytegap.schema.plan import OptimizerConfig


def learning_rate(optimizer: OptimizerConfig, step: int, steps: int) -> float:
    """Learning rate of step `step`, 0 to steps - 1: linear warm-up to the peak, then linear decay to zero."""
    if step < optimizer.warmup_steps:
        return optimizer.learning_rate * (step + 1) / optimizer.warmup_steps
    return optimizer.learning_rate * (steps - step) / (steps - optimizer.warmup_steps)


def adam(network: nn.Module, optimizer: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101); weight decay on matrices only."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    gains = [weight for weight in network.parameters() if weight.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": optimizer.weight_decay},
            {"params": gains, "weight_decay": 0.0},
        ],
        lr=optimizer.learning_rate,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.epsilon,
        fused=True,
    )
