"""Whether an arm's minima lie on its fitted frontier, by chi-square about the law in the noise of runs (Pearson 1900).

The errors of a form that fails are scaled up (`scaling/frontier.py`), which cannot correct a wrong form: where all
forms through the minima fail, the fit warns.
"""

from collections.abc import Sequence

from bytegap.fit.frontiers import FittedFrontier
from bytegap.scaling.chi_square import chi_square_survival
from bytegap.scaling.frontier import FrontierLaw, chi_square
from bytegap.schema.frontier import Form

REJECTED_P = 1e-3
"""A form is rejected where the p-value is below this, and the largest residual is material."""
MATERIAL = 0.005
"""Least |residual| of ln L that is worth a warning."""
_PARAMETERS: dict[Form, int] = {"power law": 2, "shared irreducible loss": 2, "own irreducible loss": 3}
"""Fitted parameters per arm of the forms through minima; a shared irreducible loss counts as known."""


def warnings(frontiers: Sequence[FittedFrontier]) -> list[str]:
    """One sentence for each arm that all forms through its minima are rejected for."""
    found: list[str] = []
    for name in dict.fromkeys(frontier.arm.name for frontier in frontiers):
        own = [each for each in frontiers if each.arm.name == name and each.form in _PARAMETERS]
        tested = [goodness_of_fit(frontier) for frontier in own]
        if tested and all(each and each[0] > MATERIAL and each[1] < REJECTED_P for each in tested):
            largest = min(each[0] for each in tested if each)
            found.append(
                f"{name}: no fitted frontier passes a goodness-of-fit test (p < {REJECTED_P}, forms tried: "
                f"{len(tested)}); in the best form its minima are up to {100 * largest:.1f} % off, and intervals are "
                "widened by as much"
            )
    return found


def goodness_of_fit(frontier: FittedFrontier) -> tuple[float, float] | None:
    """(largest |residual| of ln L, p-value); None where there are no more minima than parameters."""
    arm = frontier.arm
    dof = arm.budgets - _PARAMETERS[frontier.form]
    if dof < 1:
        return None
    law = FrontierLaw(frontier.irreducible_loss_K, frontier.amplitude_K, frontier.exponent_K, frontier.lack_of_fit)
    statistic, largest = chi_square(arm, law)
    return largest, chi_square_survival(statistic, dof)
