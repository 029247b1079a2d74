"""Whether an arm's minima lie on its fitted frontier: intervals assume the form, and cannot show that it is wrong.

The test is chi-square of the minima about the fitted law, in units of their bootstrap deviations (Pearson 1900).
"""

from collections.abc import Sequence
from math import erfc, exp, gamma

import numpy as np

from bytegap.fit.frontiers import FittedFrontier

REJECTED_P = 1e-3
"""A form is rejected where the p-value is below this, and the largest residual is material."""
MATERIAL = 0.005
"""Least |residual| of ln L that is worth a warning."""
_PARAMETERS = {"power law": 2, "shared irreducible loss": 2, "own irreducible loss": 3}
"""Fitted parameters per arm; a shared irreducible loss counts as known."""


def warnings(frontiers: Sequence[FittedFrontier]) -> list[str]:
    """One sentence for each arm that all forms are rejected for."""
    found: list[str] = []
    for name in dict.fromkeys(frontier.arm.name for frontier in frontiers):
        own = [goodness_of_fit(frontier) for frontier in frontiers if frontier.arm.name == name]
        if all(each and each[0] > MATERIAL and each[1] < REJECTED_P for each in own):
            largest = min(each[0] for each in own if each)
            found.append(
                f"{name}: no fitted frontier passes a goodness-of-fit test (p < {REJECTED_P}, forms tried: "
                f"{len(own)}); in the best form its minima are up to {100 * largest:.1f} % off, so intervals that "
                "depend on the frontier are too narrow"
            )
    return found


def goodness_of_fit(frontier: FittedFrontier) -> tuple[float, float] | None:
    """(largest |residual| of ln L, p-value); None where there are no more minima than parameters."""
    arm = frontier.arm
    dof = arm.budgets - _PARAMETERS[frontier.form]
    if dof < 1:
        return None
    law_P = np.array([np.log(frontier.bpb(float(np.exp(ln_flops)))[0]) for ln_flops in arm.ln_flops_P])
    residual_P = arm.ln_bpb_KP[0] - law_P
    chi_square = float(((residual_P / np.maximum(arm.ln_bpb_sd_P, 1e-9)) ** 2).sum())
    return float(np.abs(residual_P).max()), chi_square_survival(chi_square, dof)


def chi_square_survival(chi_square: float, dof: int) -> float:
    """P(X > chi_square) of a chi-square variable, by its finite sum for an integer number of degrees of freedom."""
    half = chi_square / 2
    if dof % 2:
        powers = [k + 0.5 for k in range(dof // 2)]
        return erfc(half**0.5) + exp(-half) * sum(half**power / gamma(power + 1) for power in powers)
    return exp(-half) * sum(half**k / gamma(k + 1) for k in range(dof // 2))
