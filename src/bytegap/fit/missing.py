"""Why arms cannot be compared, and what would make them comparable."""

from collections.abc import Mapping, Sequence

import numpy as np

from bytegap.fit.cells import LEARNS_CONTEXT_BPB
from bytegap.fit.frontiers import Arm, FittedFrontier, preferred_form
from bytegap.scaling.isoflop import LEAST_SIZES
from bytegap.schema.claims import Missing, Reason
from bytegap.schema.fit import Cell


def obstacle(arms: Sequence[Arm], cells: Sequence[Cell], unigram_bpb: Mapping[str, float]) -> Reason | None:
    """Why nothing can be concluded about these arms whatever the estimates are; None where nothing prevents it.

    `unigram_bpb` is of each tokenizer.
    """
    for arm in arms:
        own = _cells_of(arm, cells)
        if not own:
            return Reason(why="no finished run", arms=(arm.name,))
        if not own[-1].learns_context:
            below = unigram_bpb[arm.tokenizer] - _lowest_bpb(own[-1])
            return Reason(why="not learning context", arms=(arm.name,), below_unigram_bpb=below)
        if not arm.budgets:
            return Reason(why="no bracketed minimum", arms=(arm.name,))
    return None


def missing_for(
    reason: Reason, arms: Sequence[Arm], cells: Sequence[Cell], frontiers: Sequence[FittedFrontier]
) -> tuple[Missing, ...]:
    """What the arms lack, given the reason why they have no estimate."""
    form = preferred_form(arms, frontiers)
    fitted = {frontier.arm.name: frontier for frontier in frontiers if frontier.form == form}
    due = [arm for arm in arms if arm.name in reason.arms]
    match reason.why:
        case "no finished run":
            return tuple(Missing(arm=arm.name, needs="finished runs") for arm in due)
        case "not learning context":
            assert reason.below_unigram_bpb is not None
            (arm,) = due
            needed = _lowest_bpb(_cells_of(arm, cells)[-1]) + reason.below_unigram_bpb - LEARNS_CONTEXT_BPB
            flops = _flops_at(needed, fitted.get(arm.name))
            return (Missing(arm=arm.name, needs="larger budget", bpb=needed, flops=flops),)
        case "no bracketed minimum":
            return tuple(_sizes(_cells_of(arm, cells)[-1]) for arm in due)
        case "no frontier":
            return tuple(Missing(arm=arm.name, needs="another budget") for arm in due)
        case "no common loss":
            return _common_loss(due, fitted)
        case "no matching arm" | "no interval" | "no overhead":
            return ()


def _common_loss(arms: Sequence[Arm], fitted: Mapping[str, FittedFrontier]) -> tuple[Missing, ...]:
    """Either the arms that stay above the highest loss of another need more compute, or those below need less."""
    worst = max(arm.bpb_observed[0] for arm in arms)
    best = min(arm.bpb_observed[1] for arm in arms)
    if best > worst:
        return ()
    larger = [
        Missing(arm=arm.name, needs="larger budget", bpb=best, flops=_flops_at(best, fitted.get(arm.name)))
        for arm in arms
        if arm.bpb_observed[0] >= best
    ]
    smaller = [
        Missing(arm=arm.name, needs="smaller budget", bpb=worst, flops=_flops_at(worst, fitted.get(arm.name)))
        for arm in arms
        if arm.bpb_observed[1] <= worst
    ]
    return (*larger, *smaller)


def _sizes(cell: Cell) -> Missing:
    """What would bracket the minimum of a cell."""
    if len(set(cell.parameters)) < LEAST_SIZES:
        return Missing(arm=cell.arm, needs="finished runs")
    if cell.optimum_parameters.value is not None:
        return Missing(arm=cell.arm, needs="more runs")
    best = min(range(len(cell.bpb)), key=lambda index: cell.bpb[index])
    is_large = 2 * cell.parameters.index(cell.parameters[best]) >= len(cell.parameters)
    return Missing(arm=cell.arm, needs="larger sizes" if is_large else "smaller sizes")


def _flops_at(bpb: float, frontier: FittedFrontier | None) -> float | None:
    """Compute at which a frontier reaches a loss; None where there is no frontier, or it never does."""
    if frontier is None:
        return None
    with np.errstate(all="ignore"):
        flops = float(frontier.flops(bpb)[0])
    return flops if np.isfinite(flops) and flops > 0 else None


def _cells_of(arm: Arm, cells: Sequence[Cell]) -> list[Cell]:
    """The arm's cells by rising budget."""
    return sorted((cell for cell in cells if cell.arm == arm.name), key=lambda cell: cell.budget_flops)


def _lowest_bpb(cell: Cell) -> float:
    """At the parabola's minimum; of the best run where no parabola was fitted."""
    return min(cell.bpb) if cell.optimum_bpb.value is None else cell.optimum_bpb.value
