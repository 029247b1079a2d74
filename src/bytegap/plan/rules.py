"""How a run of N non-embedding parameters and D symbols is optimised: the same rule for every arm.

Each number is a pure function of (N, D), cited or marked "assumption"; `bytegap runs --audit` says what they cost.
"""

from bytegap.laws import FLOPS_PER_PARAMETER_AND_SYMBOL
from bytegap.records import Optimiser


def expected_optimum(at_1e12_flops: float, budget_flops: float) -> float:
    """N around which a budget's sizes are laid: what the study expects at 1e12 FLOPs, times C^0.5 (Hoffmann 2022)."""
    return at_1e12_flops * (budget_flops / 1e12) ** 0.5


def learning_rate(non_embedding_parameters: int, symbols: float) -> float:
    """Peak learning rate: as C^-1/8, C = 6 N D (DeepSeek-AI 2024, arXiv 2401.02954, eq. 1), and as N^-1/3.

    N^-1/3 is Porian et al. 2024 (arXiv 2406.19146). The constant is an assumption, set after a tuning audit.
    """
    flops = FLOPS_PER_PARAMETER_AND_SYMBOL * non_embedding_parameters * symbols
    return 0.006 * (non_embedding_parameters / 1e4) ** (-1 / 3) * (flops / 2e11) ** (-1 / 8)


def batch_symbols(symbols: float) -> float:
    """Symbols a batch: D^0.383 (Bergsma et al. 2025, arXiv 2505.13738); its constant is an assumption."""
    return 384 * (symbols / 1e6) ** 0.383


def optimiser(non_embedding_parameters: int, symbols: int, steps: int, rate: float = 1.0) -> Optimiser:
    """AdamW with linear warm-up over a tenth of the steps, then linear decay to zero (Defazio et al. 2023).

    `rate` is a factor on the rule's learning rate.
    beta2 and weight decay are the usual assumptions. The clip is low enough to act on nearly every step: a batch in
    which few symbols of a row are masked, each of large weight, then moves a model no further than any other.
    """
    return Optimiser(
        learning_rate=rate * learning_rate(non_embedding_parameters, symbols),
        warmup_steps=max(1, round(0.1 * steps)),
        decay="linear",
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-8,
        clip_norm=0.1,
    )
