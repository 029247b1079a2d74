"""How a run of N non-embedding parameters and D symbols is optimised: the same rule for every arm.

Each number is a pure function of (N, D), cited or marked "assumption"; `bytegap runs --audit` says what they cost.
"""

from bytegap.records import Optimiser


def expected_optimum(at_1e12_flops: float, budget_flops: float) -> float:
    """N around which a budget's sizes are laid: what the study expects at 1e12 FLOPs, times C^0.5 (Hoffmann 2022)."""
    return at_1e12_flops * (budget_flops / 1e12) ** 0.5


def learning_rate(non_embedding_parameters: int, symbols: float) -> float:
    """Peak learning rate: (6 N D)^-0.125 (DeepSeek-AI 2024, arXiv 2401.02954, eq. 1); its constant is an assumption.

    The constant stays below the cliff that masked diffusion has in learning rate (docs/log.md).
    """
    return 0.0045 * (6 * non_embedding_parameters * symbols / 2e11) ** -0.125


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
