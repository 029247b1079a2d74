"""A study's rows to its cells, one an arm and budget: the minimum of each, and whether it may carry a frontier.

Cells pool the scatter of their runs by objective: masked models leave their unigram at once or not at all, and scatter
several times as much as autoregressive ones.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.errors import FitError
from bytegap.fit.minima import LEAST_SIZES, Minimum, fit_minima
from bytegap.fit.parabola import Run
from bytegap.laws import Array
from bytegap.records import Cell, RunRow

LEARNS_CONTEXT_BPB = 0.5
"""How far below its own unigram a cell must come to count as learning context."""


@dataclass(frozen=True)
class FittedCell:
    """A cell as recorded, with what the frontiers need of it."""

    cell: Cell
    flops: float
    """Mean over its runs of what they cost, not the nominal budget."""
    ln_bpb_K: Array
    """Log of the lowest BPB, point estimate and draws; empty where there is no parabola."""


@dataclass(frozen=True)
class Isoflop:
    """Every cell of a study."""

    cells: list[FittedCell]
    noise_log_bpb: dict[str, float]
    """An objective's."""
    warnings: list[str]


def fit_cells(rows: Sequence[RunRow], bootstraps: int, rng: np.random.Generator) -> Isoflop:
    """All cells, by arm and budget; FitError where not one has enough sizes for a parabola."""
    groups: dict[tuple[str, float], list[RunRow]] = defaultdict(list)
    warnings: list[str] = []
    for row in rows:
        if row.status == "finished" and row.bpb is not None and row.bpb > 0:
            groups[row.arm, row.budget_flops].append(row)
        else:
            where = f"run {row.run} ({row.arm}, {row.budget_flops:.2g} FLOPs)"
            warnings.append(f"{where} is left out: {row.reason or 'it has no BPB'}")
    by_cell = [
        sorted(groups[key], key=lambda row: (row.non_embedding_parameters, row.seed, row.run)) for key in sorted(groups)
    ]
    minima: dict[int, Minimum] = {}
    noise: dict[str, float] = {}
    for objective in sorted({rows_R[0].objective for rows_R in by_cell}):
        pool = [place for place, rows_R in enumerate(by_cell) if rows_R[0].objective == objective]
        found, deviation = fit_minima([[_run(row) for row in by_cell[place]] for place in pool], bootstraps, rng)
        minima |= zip(pool, found, strict=True)
        if any(minimum.curve for minimum in found):
            noise[objective] = deviation
    if not noise:
        message = (
            f"no arm has finished runs of {LEAST_SIZES} sizes at one budget, so no parabola can be "
            "fitted: run 'bytegap train' to the end, or raise 'sizes' in the study's [grid]"
        )
        raise FitError(message)
    return Isoflop([_fitted(rows_R, minima[place]) for place, rows_R in enumerate(by_cell)], noise, warnings)


def _run(row: RunRow) -> Run:
    assert row.bpb is not None
    return Run(row.non_embedding_parameters, row.symbols, row.flops, row.bpb, row.bpb_se or 0.0)


def _fitted(rows: Sequence[RunRow], minimum: Minimum) -> FittedCell:
    """The cell as recorded, judged also by its arm's unigram."""
    below_bpb = rows[0].unigram_bpb - minimum.lowest_loss
    learns_context = below_bpb >= LEARNS_CONTEXT_BPB
    not_learning = f"not yet learning context: {below_bpb:.2f} BPB below its unigram"
    notes = [minimum.note.replace("loss", "BPB"), "" if learns_context else not_learning]
    cell = Cell(
        arm=rows[0].arm,
        budget_flops=rows[0].budget_flops,
        runs=[row.run for row in rows],
        parameters=[row.non_embedding_parameters for row in rows],
        symbols=[row.symbols for row in rows],
        bpb=[row.bpb for row in rows if row.bpb is not None],
        bpb_se=[row.bpb_se or 0.0 for row in rows],
        optimum_parameters=minimum.parameters,
        optimum_symbols=minimum.symbols,
        optimum_bpb=minimum.loss,
        curvature=minimum.curvature,
        bracketed=minimum.bracketed,
        learns_context=learns_context,
        in_frontier=minimum.bracketed and learns_context,
        note="; ".join(filter(None, notes)),
        curve=minimum.curve,
    )
    return FittedCell(cell, minimum.flops, minimum.ln_loss_K)
