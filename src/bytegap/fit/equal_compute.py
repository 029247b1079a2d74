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
from bytegap.schema.fit import LossDifference

REFERENCE = "mdm"


def loss_differences(
    arms: Sequence[Arm], cells: Sequence[FittedCell], pairs: Sequence[tuple[str, str]] = ()
) -> Iterator[LossDifference]:
    """The differences of cells that have curves and the same nominal budget, in the cells' order.

    Between each arm and its reference, and between the arms of each of the `pairs`.
    """
    by_name = {arm.name: arm for arm in arms}
    curves = [fitted for fitted in cells if len(fitted.ln_bpb_K)]
    for fitted in curves:
        for reference in curves:
            names = (fitted.cell.arm, reference.cell.arm)
            if fitted.cell.budget_flops != reference.cell.budget_flops:
                continue
            if names in pairs or _is_reference(by_name[reference.cell.arm], by_name[fitted.cell.arm]):
                yield LossDifference(
                    arms=names,
                    budget_flops=fitted.cell.budget_flops,
                    difference_bpb=quantity(np.exp(fitted.ln_bpb_K) - np.exp(reference.ln_bpb_K)),
                    bracketed=fitted.cell.bracketed and reference.cell.bracketed,
                )


def _is_reference(reference: Arm, arm: Arm) -> bool:
    """Whether it is masked diffusion on the same tokens in the same order, of the same architecture without options."""
    return (
        reference is not arm
        and reference.objective == REFERENCE
        and (reference.tokenizer, reference.permutation) == (arm.tokenizer, arm.permutation)
        and reference.model == arm.architecture
    )
