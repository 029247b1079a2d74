"""Loss at equal compute: an arm's less that of the masked diffusion arm of its tokenizer, both at their best sizes.

A study that screens objectives gives all arms one budget, so they have no frontiers and no overheads: what it can show
is which of them has the lower loss there. Draws of held-out documents are common to both arms, so that the interval is
that of a paired difference.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bytegap.fit.cells import FittedCell
from bytegap.fit.frontiers import Arm
from bytegap.scaling.bootstrap import quantity
from bytegap.schema.fit import LossDifference

REFERENCE = "mdm"


def loss_differences(arms: Sequence[Arm], cells: Sequence[FittedCell]) -> Iterator[LossDifference]:
    """The difference of every cell that has a curve and a reference of the same nominal budget, in the cells' order."""
    by_name = {arm.name: arm for arm in arms}
    curves = [fitted for fitted in cells if len(fitted.ln_bpb_K)]
    for fitted in curves:
        for reference in curves:
            same_budget = fitted.cell.budget_flops == reference.cell.budget_flops
            if same_budget and _is_reference(by_name[reference.cell.arm], by_name[fitted.cell.arm]):
                yield LossDifference(
                    arms=(fitted.cell.arm, reference.cell.arm),
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
