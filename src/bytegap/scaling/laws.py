"""Formulas of scaling laws, as functions of numbers or of numpy arrays, which broadcast.

L is the loss in bits per byte (BPB), C training FLOPs, N non-embedding parameters, D training tokens, E the irreducible
loss. Where a law gives no number, it returns NaN: the compute of a loss at or below E, or of an exponent that is not
positive.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = float | Array

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0
"""C = 6 N D (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)."""


def frontier_bpb(flops: Numbers, irreducible_loss: Numbers, amplitude: Numbers, exponent: Numbers) -> Array:
    """L(C) = E + A C^-g, in BPB (Hoffmann et al. 2022, arXiv 2203.15556, eq. 4 put into eq. 2)."""
    return np.asarray(irreducible_loss + amplitude * np.power(flops, -np.asarray(exponent)))


def frontier_flops(bpb: Numbers, irreducible_loss: Numbers, amplitude: Numbers, exponent: Numbers) -> Array:
    """C(L) = (A / (L - E))^(1/g), in FLOPs: the inverse of `frontier_bpb`; NaN where no compute gives that loss.

    At least the least positive number, so that it has a logarithm.
    """
    reducible = np.asarray(bpb - np.asarray(irreducible_loss), dtype=np.float64)
    exponent = np.asarray(exponent, dtype=np.float64)
    attained = (reducible > 0) & (exponent > 0)
    with np.errstate(over="ignore"):
        flops = np.power(amplitude / np.where(attained, reducible, 1.0), 1 / np.where(attained, exponent, 1.0))
    return np.where(attained, np.maximum(flops, np.finfo(np.float64).tiny), np.nan)


def frontier_slope(bpb: Numbers, irreducible_loss: Numbers, exponent: Numbers) -> Array:
    """Slope dL / d ln C = -g (L - E), in BPB, at the point of the frontier whose loss is `bpb`."""
    return -np.asarray(exponent) * (bpb - np.asarray(irreducible_loss))


def chinchilla_bpb(
    parameters: Numbers,
    tokens: Numbers,
    irreducible_loss: Numbers,
    amplitudes: tuple[Numbers, Numbers],
    exponents: tuple[Numbers, Numbers],
) -> Array:
    """L(N, D) = E + A / N^alpha + B / D^beta, in BPB (Hoffmann et al. 2022, eq. 2)."""
    by_size, by_data = amplitudes
    alpha, beta = exponents
    return np.asarray(irreducible_loss + by_size / np.power(parameters, alpha) + by_data / np.power(tokens, beta))


def chinchilla_optimum(
    flops: Numbers, amplitudes: tuple[Numbers, Numbers], exponents: tuple[Numbers, Numbers]
) -> tuple[Array, Array]:
    """(N, D) of the lowest L(N, D) under C = 6 N D (Hoffmann et al. 2022, eq. 4)."""
    by_size, by_data = amplitudes
    alpha, beta = exponents
    product = np.asarray(flops / FLOPS_PER_PARAMETER_AND_TOKEN)
    balance = (alpha * by_size / (beta * by_data)) ** (1 / (alpha + beta))
    parameters = balance * np.power(product, beta / (alpha + beta))
    return parameters, product / parameters


def chinchilla_frontier(
    irreducible_loss: Numbers, amplitudes: tuple[Numbers, Numbers], exponents: tuple[Numbers, Numbers]
) -> tuple[Numbers, Numbers, Numbers]:
    """(E, A, g) of the compute-optimal frontier of a Chinchilla law; g = alpha beta / (alpha + beta)."""
    alpha, beta = exponents
    exponent = alpha * beta / (alpha + beta)
    parameters, tokens = chinchilla_optimum(FLOPS_PER_PARAMETER_AND_TOKEN, amplitudes, exponents)
    reducible = chinchilla_bpb(parameters, tokens, 0.0, amplitudes, exponents)
    return irreducible_loss, reducible * FLOPS_PER_PARAMETER_AND_TOKEN**exponent, exponent


@dataclass(frozen=True)
class Law:
    """A Chinchilla law, L(N, D) = E + A / N^alpha + B / D^beta, with C = 6 N D."""

    irreducible_loss: float
    """E, in BPB."""
    amplitudes: tuple[float, float]
    """(A, B)."""
    exponents: tuple[float, float]
    """(alpha, beta)."""

    @classmethod
    def through(
        cls,
        bpb: float,
        flops: float,
        parameters: float,
        irreducible_loss: float = 0.9,
        exponents: tuple[float, float] = (0.34, 0.30),
    ) -> "Law":
        """The law whose lowest loss at `flops` is `bpb`, at a model of `parameters`; the defaults are assumptions."""
        alpha, beta = exponents
        tokens = flops / FLOPS_PER_PARAMETER_AND_TOKEN / parameters
        share = (bpb - irreducible_loss) * alpha * beta / (alpha + beta)
        return cls(irreducible_loss, (share / alpha * parameters**alpha, share / beta * tokens**beta), exponents)

    @property
    def frontier(self) -> tuple[float, float, float]:
        """(E, A, g) of its compute-optimal frontier."""
        E, amplitude, exponent = chinchilla_frontier(self.irreducible_loss, self.amplitudes, self.exponents)
        return float(E), float(amplitude), float(exponent)

    def optimum(self, flops: float) -> float:
        """N of the lowest loss at C = `flops`."""
        return float(chinchilla_optimum(flops, self.amplitudes, self.exponents)[0])

    def bpb_of(self, parameters: Numbers, flops: Numbers) -> Array:
        """L of models of N = `parameters` trained with C = `flops`."""
        tokens = flops / FLOPS_PER_PARAMETER_AND_TOKEN / np.asarray(parameters, dtype=np.float64)
        return chinchilla_bpb(parameters, tokens, self.irreducible_loss, self.amplitudes, self.exponents)

    def bpb(self, flops: float) -> float:
        """L(C) at the optimum."""
        return float(frontier_bpb(flops, *self.frontier))

    def flops(self, bpb: float) -> float:
        """C(L) at the optimum."""
        return float(frontier_flops(bpb, *self.frontier))
