"""How a run of N non-embedding parameters and D symbols is optimised: the same rule for every arm.

Each number is a pure function of (N, D), cited or marked "assumption"; `bytegap runs --audit` says what they cost.
"""

from bytegap.records import Optimiser

REFERENCE_PARAMETERS = 50_000


def expected_optimum(budget_flops: float) -> float:
    """N around which a budget's sizes are laid. Assumption: 30k at 1e12 FLOPs, growing as C^0.5 (Hoffmann 2022)."""
    return 30_000 * (budget_flops / 1e12) ** 0.5


def learning_rate(non_embedding_parameters: int) -> float:
    """Peak learning rate: N^(-1/3) (Porian et al. 2024, arXiv 2406.19146); its constant is an assumption."""
    return 0.005 * (non_embedding_parameters / REFERENCE_PARAMETERS) ** (-1 / 3)


def batch_symbols(symbols: float) -> float:
    """Symbols a batch: D^0.383 (Bergsma et al. 2025, arXiv 2505.13738); its constant is an assumption."""
    return 384 * (symbols / 1e6) ** 0.383


def optimiser(non_embedding_parameters: int, steps: int) -> Optimiser:
    """AdamW with linear warm-up over a tenth of the steps, then linear decay to zero (Defazio et al. 2023).

    beta2, weight decay and the clip are assumptions, the usual ones.
    """
    return Optimiser(
        learning_rate=learning_rate(non_embedding_parameters),
        warmup_steps=max(1, round(0.1 * steps)),
        decay="linear",
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-8,
        clip_norm=1.0,
    )
