"""The scaling laws as pure functions of numbers or numpy arrays, which broadcast.

Symbols: L bits per byte, C training FLOPs, N non-embedding parameters, D training symbols, E the
floor of L. A law that is never met (a loss at or below the floor, an exponent that isn't positive)
gives NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = float | Array

FLOPS_PER_PARAMETER_AND_SYMBOL = 6.0
"""C = 6 N D (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)."""


def frontier_bpb(flops: Numbers, floor: Numbers, amplitude: Numbers, exponent: Numbers) -> Array:
    """L(C) = E + A C^-g, in BPB (Hoffmann et al. 2022, arXiv 2203.15556, eq. 4 put into eq. 2)."""
    return np.asarray(floor + amplitude * np.power(flops, -np.asarray(exponent)))


def frontier_flops(bpb: Numbers, floor: Numbers, amplitude: Numbers, exponent: Numbers) -> Array:
    """C(L) = (A / (L - E))^(1/g), in FLOPs: the inverse of `frontier_bpb`."""
    above = np.asarray(bpb - np.asarray(floor), dtype=np.float64)
    exponent = np.asarray(exponent, dtype=np.float64)
    met = (above > 0) & (exponent > 0)
    with np.errstate(over="ignore"):
        flops = np.power(amplitude / np.where(met, above, 1.0), 1 / np.where(met, exponent, 1.0))
    return np.where(met, flops, np.nan)


def frontier_slope(bpb: Numbers, floor: Numbers, exponent: Numbers) -> Array:
    """Slope dL / d ln C = -g (L - E), BPB per e-fold of compute, where the frontier passes `bpb`."""
    return -np.asarray(exponent) * (bpb - np.asarray(floor))


def chinchilla_bpb(
    parameters: Numbers,
    symbols: Numbers,
    floor: Numbers,
    amplitudes: tuple[Numbers, Numbers],
    exponents: tuple[Numbers, Numbers],
) -> Array:
    """L(N, D) = E + A / N^alpha + B / D^beta, in BPB (Hoffmann et al. 2022, eq. 2)."""
    by_size, by_data = amplitudes
    alpha, beta = exponents
    return np.asarray(floor + by_size / np.power(parameters, alpha) + by_data / np.power(symbols, beta))


def chinchilla_optimum(
    flops: Numbers, amplitudes: tuple[Numbers, Numbers], exponents: tuple[Numbers, Numbers]
) -> tuple[Array, Array]:
    """The (N, D) of lowest L(N, D) under C = 6 N D (Hoffmann et al. 2022, eq. 4)."""
    by_size, by_data = amplitudes
    alpha, beta = exponents
    product = np.asarray(flops / FLOPS_PER_PARAMETER_AND_SYMBOL)
    balance = (alpha * by_size / (beta * by_data)) ** (1 / (alpha + beta))
    parameters = balance * np.power(product, beta / (alpha + beta))
    return parameters, product / parameters


def chinchilla_frontier(
    floor: Numbers, amplitudes: tuple[Numbers, Numbers], exponents: tuple[Numbers, Numbers]
) -> tuple[Numbers, Numbers, Numbers]:
    """(E, A, g) of the compute-optimal frontier of a Chinchilla law; g = alpha beta / (alpha + beta)."""
    alpha, beta = exponents
    exponent = alpha * beta / (alpha + beta)
    parameters, symbols = chinchilla_optimum(FLOPS_PER_PARAMETER_AND_SYMBOL, amplitudes, exponents)
    above = chinchilla_bpb(parameters, symbols, 0.0, amplitudes, exponents)
    return floor, above * FLOPS_PER_PARAMETER_AND_SYMBOL**exponent, exponent


@dataclass(frozen=True)
class Law:
    """A Chinchilla law, L(N, D) = E + A / N^alpha + B / D^beta, with C = 6 N D."""

    floor: float
    amplitudes: tuple[float, float]
    exponents: tuple[float, float]

    @classmethod
    def through(
        cls,
        bpb: float,
        flops: float,
        parameters: float,
        floor: float = 0.9,
        exponents: tuple[float, float] = (0.34, 0.30),
    ) -> "Law":
        """The law whose optimum at `flops` is `bpb`, by a model of `parameters`; the defaults are assumptions."""
        alpha, beta = exponents
        symbols = flops / FLOPS_PER_PARAMETER_AND_SYMBOL / parameters
        share = (bpb - floor) * alpha * beta / (alpha + beta)
        return cls(floor, (share / alpha * parameters**alpha, share / beta * symbols**beta), exponents)

    @property
    def frontier(self) -> tuple[float, float, float]:
        """(E, A, g) of its compute-optimal frontier."""
        floor, amplitude, exponent = chinchilla_frontier(self.floor, self.amplitudes, self.exponents)
        return float(floor), float(amplitude), float(exponent)

    def optimum(self, flops: float) -> float:
        """The N of lowest loss at C."""
        return float(chinchilla_optimum(flops, self.amplitudes, self.exponents)[0])

    def bpb_of(self, parameters: Numbers, flops: Numbers) -> Array:
        """L of models of N trained with C."""
        symbols = flops / FLOPS_PER_PARAMETER_AND_SYMBOL / np.asarray(parameters, dtype=np.float64)
        return chinchilla_bpb(parameters, symbols, self.floor, self.amplitudes, self.exponents)

    def bpb(self, flops: float) -> float:
        """L(C) at the optimum."""
        return float(frontier_bpb(flops, *self.frontier))

    def flops(self, bpb: float) -> float:
        """C(L) at the optimum."""
        return float(frontier_flops(bpb, *self.frontier))
