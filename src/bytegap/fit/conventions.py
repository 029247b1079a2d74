"""The headline estimates under other conventions of counting FLOPs, from the same runs.

The runs of a cell have equal FLOPs under the default convention only; under another they differ in compute as well as
in size. Each run is adjusted to its cell's common compute, the geometric mean C_ref, along its arm's frontier:

    ln L' = ln L + g (ln C - ln C_ref),    g = -d ln L / d ln C of the frontier at the cell's loss

By the envelope theorem the slope of a frontier is that of its optimal size held fixed, so the adjustment is right to
first order near the minimum. The slope is found by iteration, from the frontiers of the default convention at first,
then from the frontiers of the adjusted runs. Parabolas, minima, frontiers and the headline estimands follow as usual,
the estimands at the same losses.

Intervals include the noise of the runs and not the error of the slope.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.cost import flops
from bytegap.fit import gap_closed
from bytegap.fit.cells import fit_cells
from bytegap.fit.frontiers import Arm, FittedFrontier, arms_of, fit_frontiers, preferred_form
from bytegap.fit.reestimate import BOOTSTRAPS, DefaultFit, estimate_again, headlines_and_parities, in_all_forms
from bytegap.schema.fit import ConventionResult, Estimand, GapClosed
from bytegap.schema.runs import RunRow

DEFAULT = flops.DEFAULT.name
"""The convention of `RunRow.flops`: every multiplication of a plain implementation."""
EXECUTED = flops.Convention(head="supervised").name
"""The convention that counts what the training step executes: it evaluates the head at supervised positions only."""
ROUNDS = 3

FrontierByArm = Mapping[str, FittedFrontier]
"""The frontier of each arm in its preferred form, by the arm's name; arms without a frontier are absent."""


@dataclass(frozen=True)
class AdjustedFit:
    """The arms and frontiers under another convention."""

    convention: str
    bootstraps: int
    largest_adjustment: float
    """As `ConventionResult.largest_adjustment`."""
    arms: Sequence[Arm]
    frontiers: Sequence[FittedFrontier]


def fit_conventions(rows: Sequence[RunRow], default: DefaultFit, bootstraps: int, seed: int) -> list[AdjustedFit]:
    """The fit under each other convention that all rows have counts under; empty where the study has no headline.

    Arms without a frontier have no slope and are left out.
    """
    if not any(row.headline for row in default.estimands):
        return []
    slopes = preferred_frontiers(default.arms, default.frontiers)
    kept = [row for row in rows if row.status == "finished" and row.bpb and row.arm in slopes]
    fewer = min(bootstraps, BOOTSTRAPS)
    found: list[AdjustedFit] = []
    for name in _common_conventions(kept):
        if name == DEFAULT:
            continue
        adjusted, arms, frontiers = adjust_to_common_compute(kept, name, slopes, fewer, seed)
        changes = [
            abs(np.log(row.flops_by_convention[name] / to.flops)) for row, to in zip(kept, adjusted, strict=True)
        ]
        found.append(AdjustedFit(name, fewer, float(np.exp(max(changes))), arms, frontiers))
    return found


def by_convention(default: DefaultFit, others: Sequence[AdjustedFit], bootstraps: int) -> list[ConventionResult]:
    """Headline and parity estimates of the default convention, then of the others; empty without a headline."""
    headlines = headlines_and_parities(default.estimands)
    if not headlines:
        return []
    first = ConventionResult(
        convention=DEFAULT,
        bootstraps=bootstraps,
        largest_adjustment=1.0,
        cells_in_frontier=default.cells_in_frontier,
        estimands=tuple(headlines),
        excluded_arms=(),
    )
    slopes = preferred_frontiers(default.arms, default.frontiers)
    excluded = tuple(arm.name for arm in default.arms if arm.name not in slopes)
    return [first] + [
        ConventionResult(
            convention=other.convention,
            bootstraps=other.bootstraps,
            largest_adjustment=other.largest_adjustment,
            cells_in_frontier=sum(arm.budgets for arm in other.arms),
            estimands=tuple(estimate_again(headlines, other.arms, other.frontiers)),
            excluded_arms=excluded,
        )
        for other in others
    ]


def executed(default: DefaultFit, others: Sequence[AdjustedFit]) -> list[Estimand]:
    """The headlines in every form under the FLOPs that the step executes; empty where the rows have no such count."""
    headlines = [row for row in default.estimands if row.headline]
    return [
        row
        for other in others
        if other.convention == EXECUTED
        for row in estimate_again(in_all_forms(headlines, other.frontiers), other.arms, other.frontiers)
    ]


def with_executed(found: Sequence[GapClosed], others: Sequence[AdjustedFit]) -> list[GapClosed]:
    """The same, each with what it is under the FLOPs that the step executes."""
    fit = next((other for other in others if other.convention == EXECUTED), None)
    if fit is None:
        return list(found)
    return [each.model_copy(update={"executed": gap_closed.again(each, fit.arms, fit.frontiers)}) for each in found]


def _common_conventions(rows: Sequence[RunRow]) -> list[str]:
    """The conventions, sorted by name, that every row has a count under."""
    first = sorted(rows[0].flops_by_convention) if rows else []
    return [name for name in first if all(name in row.flops_by_convention for row in rows)]


def preferred_frontiers(arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> FrontierByArm:
    """Each arm's frontier in the form that is preferred for the arm alone."""
    forms = {arm.name: preferred_form([arm], frontiers) for arm in arms}
    return {frontier.arm.name: frontier for frontier in frontiers if frontier.form == forms[frontier.arm.name]}


def adjust_to_common_compute(
    rows: Sequence[RunRow], name: str, slopes: FrontierByArm, bootstraps: int, seed: int
) -> tuple[list[RunRow], list[Arm], list[FittedFrontier]]:
    """(rows at their cells' common compute under convention `name`, arms, frontiers), after `ROUNDS` iterations."""
    adjusted, arms, frontiers = list(rows), list[Arm](), list[FittedFrontier]()
    for _ in range(ROUNDS):
        adjusted = _adjusted(rows, name, slopes)
        arms = arms_of(adjusted, fit_cells(adjusted, bootstraps, np.random.default_rng(seed)).cells)
        frontiers, _ = fit_frontiers(arms, parametric=False)
        slopes = {**slopes, **preferred_frontiers(arms, frontiers)}
    return adjusted, arms, frontiers


def _adjusted(rows: Sequence[RunRow], name: str, slopes: FrontierByArm) -> list[RunRow]:
    """The rows at the geometric mean of their cell's FLOPs under a convention, BPB adjusted by the frontier's slope."""
    cells: dict[tuple[str, float], list[RunRow]] = defaultdict(list)
    for row in rows:
        cells[row.arm, row.budget_flops].append(row)
    found: dict[str, RunRow] = {}
    for (arm, _), of_cell in cells.items():
        ln_flops_R = np.log([row.flops_by_convention[name] for row in of_cell])
        bpb_R = np.array([row.bpb for row in of_cell], dtype=np.float64)
        lowest_bpb = float(bpb_R.min())
        g = -float(slopes[arm].slope(lowest_bpb)[0]) / lowest_bpb
        factor_R = np.exp(g * (ln_flops_R - ln_flops_R.mean()))
        for row, factor in zip(of_cell, factor_R.tolist(), strict=True):
            assert row.bpb is not None
            error = None if row.bpb_se is None else row.bpb_se * factor
            at = {"flops": float(np.exp(ln_flops_R.mean())), "bpb": row.bpb * factor, "bpb_se": error}
            found[row.run] = row.model_copy(update=at)
    return [found[row.run] for row in rows]
