"""How a run of N non-embedding parameters and D symbols is optimised: the same rule for every arm.

Each number is a pure function of (N, D) and the share of symbols that is answered, cited or marked "assumption";
`bytegap runs --audit` says what they cost.
"""

from bytegap.records import Optimiser


def expected_optimum(at_1e12_flops: float, budget_flops: float) -> float:
    """N around which a budget's sizes are laid: what the study expects at 1e12 FLOPs, times C^0.5 (Hoffmann 2022)."""
    return at_1e12_flops * (budget_flops / 1e12) ** 0.5


def learning_rate(non_embedding_parameters: int) -> float:
    """Peak learning rate: as 1/width (muP, Yang et al. 2022, arXiv 2203.03466, table 8), up to a cap.

    Along the ladder N goes as width^2 up to 400k parameters, its depth being constant, and as width^3 beyond: N^-1/2,
    then N^-1/3, which is also what Porian et al. 2024 (arXiv 2406.19146) found. Constant and cap are assumptions, set
    by trials on all four arms (docs/log.md).
    """
    size = non_embedding_parameters / 4e5
    return min(0.015, 0.0027 * max(size ** (-1 / 2), size ** (-1 / 3)))


def batch_symbols(symbols: float, supervised: float) -> float:
    """Symbols a batch, of which a share is `supervised`: answers a batch go as the square root of answers in all.

    The exponent lies between Zhang et al.'s (2024, arXiv 2410.21676; 0.47) and Li et al.'s (2025, arXiv 2503.04715;
    0.57). That answers count, not symbols, is because they make the gradient's noise; it is an assumption, as exponent
    and constant are, and what the tuning audit found (docs/log.md).
    """
    return 260 * (supervised * symbols / 1e6) ** 0.5 / supervised


def optimiser(non_embedding_parameters: int, steps: int, rate: float = 1.0) -> Optimiser:
    """AdamW with linear warm-up over a tenth of the steps, then linear decay to zero (Defazio et al. 2023).

    `rate` is a factor on the rule's learning rate.
    The rest are the usual assumptions.
    """
    return Optimiser(
        learning_rate=rate * learning_rate(non_embedding_parameters),
        warmup_steps=max(1, round(0.1 * steps)),
        decay="linear",
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-8,
        clip_norm=1.0,
    )
