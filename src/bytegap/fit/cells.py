"""IsoFLOP cells of a study: for each arm and budget, the minimum of the loss over model size.

Residual noise is pooled over the cells of one objective, because masked diffusion models scatter several times as much
as autoregressive ones: their loss falls below the unigram entropy abruptly, and not in every run.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.errors import FitError
from bytegap.scaling.isoflop import LEAST_SIZES, Minimum, fit_minima
from bytegap.scaling.laws import Array
from bytegap.scaling.parabola import RunPoint
from bytegap.schema.fit import Cell
from bytegap.schema.runs import RunRow

LEARNS_CONTEXT_BPB = 0.5
"""A cell has learned context where its minimum is at least this far below the tokenizer's unigram model."""


@dataclass(frozen=True)
class FittedCell:
    """A cell as recorded, and what frontiers need of it."""

    cell: Cell
    flops: float
    """Mean compute of its runs, which may differ from the nominal budget."""
    ln_bpb_K: Array
    """Log of the lowest BPB, point estimate and draws; empty where no parabola was fitted."""


@dataclass(frozen=True)
class FittedCells:
    """All cells of a study."""

    cells: list[FittedCell]
    noise_log_bpb: dict[str, float]
    """Pooled residual standard deviation of log BPB, by objective."""
    warnings: list[str]


def fit_cells(rows: Sequence[RunRow], bootstraps: int, rng: np.random.Generator) -> FittedCells:
    """Fit every cell, sorted by arm and budget; FitError where no cell has enough sizes for a parabola."""
    groups: dict[tuple[str, float], list[RunRow]] = defaultdict(list)
    warnings: list[str] = []
    for row in rows:
        if row.status == "finished" and row.bpb is not None and row.bpb > 0:
            groups[row.arm, row.budget_flops].append(row)
        else:
            run = f"run {row.run} ({row.arm}, {row.budget_flops:.2g} FLOPs)"
            warnings.append(f"{run} is left out: {row.reason or 'it has no BPB'}")
    by_cell = [
        sorted(groups[key], key=lambda row: (row.non_embedding_parameters, row.seed, row.run)) for key in sorted(groups)
    ]
    objectives = [rows_R[0].objective_label for rows_R in by_cell]
    minima: dict[int, Minimum] = {}
    noise: dict[str, float] = {}
    for objective in sorted(set(objectives)):
        pool = [index for index, own in enumerate(objectives) if own == objective]
        found, residual_sd = fit_minima([[run_point(row) for row in by_cell[index]] for index in pool], bootstraps, rng)
        minima |= zip(pool, found, strict=True)
        if any(minimum.curve for minimum in found):
            noise[objective] = residual_sd
    if not noise:
        raise FitError(
            f"no arm has finished runs of {LEAST_SIZES} sizes at one budget, so no parabola can be fitted: let "
            "'bytegap train' finish, or raise 'sizes' in the study's [grid]"
        )
    return FittedCells([_fitted(rows_R, minima[index]) for index, rows_R in enumerate(by_cell)], noise, warnings)


def run_point(row: RunRow) -> RunPoint:
    """A finished run as a point of its cell."""
    assert row.bpb is not None
    return RunPoint(row.non_embedding_parameters, row.tokens, row.flops, row.bpb, row.bpb_se or 0.0)


def _fitted(rows: Sequence[RunRow], minimum: Minimum) -> FittedCell:
    """The cell as recorded; it enters the frontier if its minimum is bracketed and below the unigram model."""
    below_bpb = rows[0].unigram_bpb - minimum.lowest_loss
    learns_context = below_bpb >= LEARNS_CONTEXT_BPB
    not_learning = f"not yet learning context: {below_bpb:.2f} BPB below its unigram"
    notes = [minimum.note.replace("loss", "BPB"), "" if learns_context else not_learning]
    cell = Cell(
        arm=rows[0].arm,
        budget_flops=rows[0].budget_flops,
        runs=tuple(row.run for row in rows),
        parameters=tuple(row.non_embedding_parameters for row in rows),
        tokens=tuple(row.tokens for row in rows),
        bpb=tuple(row.bpb for row in rows if row.bpb is not None),
        bpb_se=tuple(row.bpb_se or 0.0 for row in rows),
        optimum_parameters=minimum.parameters,
        optimum_tokens=minimum.tokens,
        optimum_bpb=minimum.loss,
        curvature=minimum.curvature,
        bracketed=minimum.bracketed,
        learns_context=learns_context,
        in_frontier=minimum.bracketed and learns_context,
        note="; ".join(filter(None, notes)),
        curve=minimum.curve,
    )
    return FittedCell(cell, minimum.flops, minimum.ln_loss_K)
