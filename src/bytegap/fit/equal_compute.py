"""Loss at equal compute: an arm's less that of another, both at their best sizes.

The other is the masked diffusion arm of its tokenizer, or one that the study names. A study that screens objectives
gives all arms one budget, so they have no frontiers and no overheads: what it can show is which of them has the lower
loss there. Draws of held-out documents are common to both arms, so that the interval is that of a paired difference.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bytegap.fit.cells import FittedCell
from bytegap.fit.frontiers import Arm
from bytegap.scaling.bootstrap import quantity
from bytegap.scaling.window import LEAST_SIZES
from bytegap.schema.fit import LossDifference

REFERENCE = "mdm"


def loss_differences(
    arms: Sequence[Arm], cells: Sequence[FittedCell], pairs: Sequence[tuple[str, str]] = ()
) -> Iterator[LossDifference]:
    """The differences of cells that have curves and the same nominal budget, in the cells' order.

    Between each arm and its reference, and between the arms of each of the `pairs`.
    """
    references = {arm.name: _references(arm, arms) for arm in arms}
    curves = [fitted for fitted in cells if len(fitted.ln_bpb_K)]
    for fitted in curves:
        for reference in curves:
            names = (fitted.cell.arm, reference.cell.arm)
            if fitted.cell.budget_flops != reference.cell.budget_flops:
                continue
            if names in pairs or reference.cell.arm in references[fitted.cell.arm]:
                yield LossDifference(
                    arms=names,
                    budget_flops=fitted.cell.budget_flops,
                    difference_bpb=quantity(np.exp(fitted.ln_bpb_K) - np.exp(reference.ln_bpb_K)),
                    bracketed=fitted.cell.bracketed and reference.cell.bracketed,
                )


def without_common_budget(pairs: Sequence[tuple[str, str]], found: Sequence[LossDifference]) -> Iterator[str]:
    """A warning for each of the `pairs` that has no difference."""
    known = {difference.arms for difference in found}
    for one, other in pairs:
        if (one, other) not in known:
            yield (
                f"[fit] losses: {one} and {other} are not compared: they have no common budget at which both have "
                f"finished runs of {LEAST_SIZES} sizes; give both arms the same budget, and train its runs"
            )


def _references(arm: Arm, arms: Sequence[Arm]) -> list[str]:
    """The masked diffusion arms of its tokens and model; without any, of its architecture without options.

    Masked diffusion itself is compared only where its architecture has options, with the architecture without them.
    """
    is_masked = arm.objective == REFERENCE
    masked = [
        other
        for other in arms
        if other.objective == REFERENCE and (other.tokenizer, other.permutation) == (arm.tokenizer, arm.permutation)
    ]
    same = [] if is_masked else [other.name for other in masked if other.model == arm.model]
    plain = [other.name for other in masked if other.model == arm.architecture]
    return same or ([] if is_masked and arm.model == arm.architecture else plain)
