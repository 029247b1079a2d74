"""Tail of the F distribution, of the ratio of two independent mean squares of equal expectation."""

from math import asin, exp, lgamma, sqrt

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def f_survival(ratio: float, dof: int, dof_below: int) -> float:
    """P(F > ratio), with the degrees of freedom of the mean square above and of the one below.

    It is the incomplete beta function I_x(dof_below / 2, dof / 2) at x = dof_below / (dof_below + dof x ratio)
    (Abramowitz and Stegun 1964, 26.6.2), integrated by Gauss-Legendre over the angle whose squared sine is x.
    """
    top = asin(sqrt(dof_below / (dof_below + dof * max(0.0, ratio))))
    angle = top * (_NODES + 1) / 2
    density = np.sin(angle) ** (dof_below - 1) * np.cos(angle) ** (dof - 1)
    scale = exp(lgamma((dof + dof_below) / 2) - lgamma(dof / 2) - lgamma(dof_below / 2))
    return min(1.0, float(scale * top * (_WEIGHTS @ density)))
