"""The headline answers again, the same runs' compute counted otherwise.

Runs of a cell match in FLOPs under the default convention only; counted otherwise they differ in compute as well as in
size. Each is moved to the cell's common compute, the geometric mean C_ref, along the slope of its arm's frontier:

    ln L' = ln L + g (ln C - ln C_ref),    g = -d ln L / d ln C of the frontier at the cell's loss

By the envelope theorem a frontier's slope is that of its best size held fixed, so that near the minimum the move is
right to first order. The slope is found in rounds, from the default's frontiers first, then from those so fitted. What
follows is the fit as always: parabolas, minima, frontiers, and the headlines' own questions, asked at the same loss.

Intervals hold the runs' noise and not the slope's error.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.accounting import flops
from bytegap.fit import interaction, overhead
from bytegap.fit.answers import Subject
from bytegap.fit.estimands import in_form
from bytegap.fit.frontiers import Arm, Curve, arms_of, fit_frontiers, preferred_form
from bytegap.fit.isoflop import fit_cells
from bytegap.records import Estimand, Recount, RunRow

DEFAULT = flops.DEFAULT.name
"""What `RunRow.flops` counts: everything a plain implementation multiplies."""
ROUNDS = 3
BOOTSTRAPS = 200
"""At most: these intervals only stand beside the default's, which have more."""

Leads = Mapping[str, Curve]
"""Each arm's frontier, in the form preferred for it; an arm without one is left out."""


@dataclass(frozen=True)
class Default:
    """The fit under the default convention: its arms, frontiers and answers."""

    arms: Sequence[Arm]
    curves: Sequence[Curve]
    estimands: Sequence[Estimand]


def by_convention(rows: Sequence[RunRow], default: Default, bootstraps: int, seed: int) -> list[Recount]:
    """The default's headlines and parities as they are, then the same under each other convention that all rows state.

    Nothing where the study has no headline. An arm without a frontier has no slope, and is left out of the others.
    """
    asked = _asked(default.estimands)
    if not asked:
        return []
    slopes = leads(default.arms, default.curves)
    kept = [row for row in rows if row.status == "finished" and row.bpb and row.arm in slopes]
    names = [name for name in _stated_by_all(kept) if name != DEFAULT]
    first = Recount(
        convention=DEFAULT,
        bootstraps=bootstraps,
        largest_move=1.0,
        cells_in_frontier=sum(arm.budgets for arm in default.arms),
        estimands=asked,
        left_out=[],
    )
    left_out = [arm.name for arm in default.arms if arm.name not in slopes]
    fewer = min(bootstraps, BOOTSTRAPS)
    found = [first]
    for name in names:
        moved, arms, curves = moves(kept, name, slopes, fewer, seed)
        apart = [abs(np.log(row.flops_by_convention[name] / to.flops)) for row, to in zip(kept, moved, strict=True)]
        found.append(
            Recount(
                convention=name,
                bootstraps=fewer,
                largest_move=float(np.exp(max(apart))),
                cells_in_frontier=sum(arm.budgets for arm in arms),
                estimands=list(_asked_again(asked, arms, curves)),
                left_out=left_out,
            )
        )
    return found


def _stated_by_all(rows: Sequence[RunRow]) -> list[str]:
    """The conventions, by name, that every row has a count under."""
    first = rows[0].flops_by_convention if rows else {}
    return sorted(name for name in first if all(name in row.flops_by_convention for row in rows))


def _asked(estimands: Sequence[Estimand]) -> list[Estimand]:
    """Headlines, and of the same arms in the same form the parity."""
    headlines = [row for row in estimands if row.headline]
    places = [(row.arms, row.form) for row in headlines]
    return headlines + [row for row in estimands if row.name == "parity" and (row.arms, row.form) in places]


def leads(arms: Sequence[Arm], curves: Sequence[Curve]) -> Leads:
    """The frontier of each arm that tells its slope."""
    forms = {arm.name: preferred_form([arm], curves) for arm in arms}
    return {curve.arm.name: curve for curve in curves if curve.form == forms[curve.arm.name]}


def moves(
    rows: Sequence[RunRow], name: str, slopes: Leads, bootstraps: int, seed: int
) -> tuple[list[RunRow], list[Arm], list[Curve]]:
    """(rows at their cells' common compute, arms, frontiers) under a convention, after ROUNDS of moving and fitting."""
    moved, arms, curves = list(rows), list[Arm](), list[Curve]()
    for _ in range(ROUNDS):
        moved = _moved(rows, name, slopes)
        arms = arms_of(moved, fit_cells(moved, bootstraps, np.random.default_rng(seed)).cells)
        curves, _ = fit_frontiers(arms)
        slopes = {**slopes, **leads(arms, curves)}
    return moved, arms, curves


def _moved(rows: Sequence[RunRow], name: str, slopes: Leads) -> list[RunRow]:
    """The rows at the geometric mean of their cell's FLOPs under a convention, BPB moved along the frontier's slope."""
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


def _asked_again(answers: Sequence[Estimand], arms: Sequence[Arm], curves: Sequence[Curve]) -> Iterator[Estimand]:
    """What other frontiers say to the same questions; nothing where an arm has no budget left to show."""
    by_name = {arm.name: arm for arm in arms if arm.budgets}
    for asked in answers:
        if asked.form == "minima" or not all(name in by_name for name in asked.arms):
            continue
        subject = Subject(asked.objective, asked.arms, asked.form)
        byte, other, *base = (by_name[name] for name in asked.arms)
        pair = in_form((byte, other), asked.form, curves)
        found = None
        if asked.name == "parity":
            found = overhead.parity(subject, pair)
        elif asked.name == "overhead" and asked.at_bpb is not None:
            found = overhead.at_loss(subject, pair, asked.at_bpb)
        elif asked.name == "interaction" and asked.at_bpb is not None:
            found = interaction.at_loss(subject, pair, in_form((base[0], base[1]), asked.form, curves), asked.at_bpb)
        if found:
            yield found
