"""Whether an arm's minima lie on its frontier: an interval supposes the form, and cannot show that it is wrong.

Chi-square of the minima about the fitted law over their own bootstrap deviations (Pearson 1900), for each form.
"""

from collections.abc import Sequence
from math import erfc, exp, gamma

import numpy as np

from bytegap.fit.frontiers import Curve

_UNLIKELY, _MATERIAL = 1e-3, 0.005
"""The p-value below which a form is given up, and how far off a minimum must lie, of its BPB, to be worth a word."""
_PARAMETERS = {"no floor": 2, "shared floor": 2, "own floor": 3}
"""Of one arm's curve; a floor that arms share is as good as known."""


def warnings(curves: Sequence[Curve]) -> list[str]:
    """A sentence for each arm none of whose forms passes through its minima."""
    found: list[str] = []
    for name in dict.fromkeys(curve.arm.name for curve in curves):
        own = [misfit(curve) for curve in curves if curve.arm.name == name]
        if all(each and each[0] > _MATERIAL and each[1] < _UNLIKELY for each in own):
            off = min(each[0] for each in own if each)
            found.append(
                f"{name} follows no form of frontier: its minima lie up to {100 * off:.1f} % off the best of "
                f"{len(own)} (p < {_UNLIKELY}); intervals of what is read off it are too narrow"
            )
    return found


def misfit(curve: Curve) -> tuple[float, float] | None:
    """(largest |ln L| missed, p-value); None where there are no more minima than parameters."""
    arm = curve.arm
    freedom = arm.budgets - _PARAMETERS[curve.form]
    if freedom < 1:
        return None
    law_P = np.array([np.log(curve.bpb(float(np.exp(ln_flops)))[0]) for ln_flops in arm.ln_flops_P])
    missed_P = arm.ln_bpb_KP[0] - law_P
    chi_square = float(((missed_P / np.maximum(arm.ln_bpb_deviation_P, 1e-9)) ** 2).sum())
    return float(np.abs(missed_P).max()), survival(chi_square, freedom)


def survival(chi_square: float, freedom: int) -> float:
    """P(X > chi_square) of a chi-square variable: the finite sum for a whole number of degrees of freedom."""
    half = chi_square / 2
    if freedom % 2:
        powers = [k + 0.5 for k in range(freedom // 2)]
        return erfc(half**0.5) + exp(-half) * sum(half**power / gamma(power + 1) for power in powers)
    return exp(-half) * sum(half**k / gamma(k + 1) for k in range(freedom // 2))
