"""The rule for learning rate, batch size and optimizer, the same for every arm. Pure functions; no torch.

Each number depends on N, the non-embedding parameters, on D, the training tokens, and on the share of tokens that the
loss is taken at; it is cited or marked "assumption". `bytegap tuning-audit` estimates what the rule costs each arm.
"""

from dataclasses import dataclass

from bytegap.schema.plan import OptimizerConfig


@dataclass(frozen=True, order=True)
class Setting:
    """Learning rate, batch size and weight decay of a run, relative to the rule's."""

    log2_learning_rate: float = 0.0
    """log2 of the learning rate over the rule's."""
    log2_batch_size: float = 0.0
    """log2 of the batch size over the rule's, as requested; batches are rounded to full sequences."""
    weight_decay_factor: float = 1.0
    """Weight decay over the rule's; 0 is none, which has no logarithm."""

    @property
    def learning_rate_factor(self) -> float:
        """Learning rate over the rule's."""
        return 2.0**self.log2_learning_rate

    @property
    def batch_size_factor(self) -> float:
        """Batch size over the rule's."""
        return 2.0**self.log2_batch_size


RULE = Setting()
"""The rule itself, which all runs use except those of the tuning audit."""
WEIGHT_DECAY = 0.1
"""The rule's, of every size: the usual value (assumption)."""


def expected_optimum(params: float, flops: float, budget_flops: float) -> float:
    """The N at the centre of a budget's sizes: `params` at `flops`, scaled as C^0.5 (Hoffmann et al. 2022)."""
    return params * (budget_flops / flops) ** 0.5


def learning_rate(non_embedding_parameters: int) -> float:
    """Peak learning rate: proportional to 1 / d_model (muP, Yang et al. 2022, arXiv 2203.03466, table 8), with a cap.

    N grows as d_model^2 up to 400k parameters, where depth is constant, and as d_model^3 beyond: so the learning rate
    falls as N^-1/2, then as N^-1/3, which is also what Porian et al. 2024 (arXiv 2406.19146) found.
    Constant and cap are assumptions, chosen by trials on all four arms (docs/log.md).
    """
    size = non_embedding_parameters / 4e5
    return min(0.015, 0.0027 * max(size ** (-1 / 2), size ** (-1 / 3)))


def batch_tokens(tokens: float, supervised: float) -> float:
    """Tokens in a batch, when the loss is taken at a share `supervised` of them.

    Supervised tokens of a batch grow as the square root of supervised tokens of the run.
    The exponent lies between Zhang et al.'s (2024, arXiv 2410.21676; 0.47) and Li et al.'s (2025, arXiv 2503.04715;
    0.57). Supervised tokens are counted, not all tokens, because they make the gradient's noise; that, the exponent and
    the constant are assumptions, supported by the tuning audit (docs/log.md).
    """
    return 260 * (supervised * tokens / 1e6) ** 0.5 / supervised


def optimizer(non_embedding_parameters: int, steps: int, setting: Setting = RULE) -> OptimizerConfig:
    """AdamW with linear warm-up over a tenth of the steps, then linear decay to zero (Defazio et al. 2023).

    The other values are the usual ones (assumptions).
    """
    return OptimizerConfig(
        learning_rate=setting.learning_rate_factor * learning_rate(non_embedding_parameters),
        warmup_steps=max(1, round(0.1 * steps)),
        decay="linear",
        weight_decay=setting.weight_decay_factor * WEIGHT_DECAY,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-8,
        clip_norm=1.0,
    )
