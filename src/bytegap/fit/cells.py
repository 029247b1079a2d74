"""IsoFLOP cells of a study: for each arm and budget, the minimum of the loss over model size.

Residual noise is that of arms of one objective and permutation, because masked diffusion models scatter several times
as much as autoregressive ones, and windows that are permuted scatter more than text as written. Permutations of one
objective are pooled where a test allows it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.errors import FitError
from bytegap.scaling.documents import document_shifts, without_run_noise
from bytegap.scaling.isoflop import ArmRuns, Group, IsoflopFit, Minimum, RunDraws, fit_minima
from bytegap.scaling.laws import Array
from bytegap.scaling.noise import ASSUMED_SEED_EFFECT, Noise
from bytegap.scaling.window import LEAST_SIZES
from bytegap.schema.base import Quantity
from bytegap.schema.fit import Cell, CurvatureForm, NoiseLevel
from bytegap.schema.runs import RunRow

LEAST_DOCUMENTS = 2
LEARNS_CONTEXT_BPB = 0.5
"""The default gate: a cell has learned context where its minimum is this far below the tokenizer's unigram model."""


@dataclass(frozen=True)
class FittedCell:
    """A cell as recorded, and what frontiers need of it."""

    cell: Cell
    flops: float
    """Mean compute of its runs, which may differ from the nominal budget."""
    ln_bpb_K: Array
    """Log of the lowest BPB, point estimate and draws; empty where no curve was fitted."""
    ln_size_K: Array
    """ln N of the optimum; empty where it is not within the range of sizes."""
    ln_bpb_run_K: Array
    """The same with draws of the noise of runs alone: without that of held-out documents."""
    runs: RunDraws | None
    """Its runs with draws; None where no curve was fitted."""


@dataclass(frozen=True)
class FittedCells:
    """All cells of a study."""

    cells: list[FittedCell]
    noise_log_bpb: dict[str, float]
    """Residual standard deviation of log BPB, by objective, or by objective and permutation where they differ."""
    noise: list[NoiseLevel]
    curvature: dict[str, CurvatureForm]
    """Of the curves of each arm that has two or more, by name."""
    skew: dict[str, Quantity]
    """Of the curves of each arm that has one, by name."""
    documents: int
    """Held-out documents that the intervals resample; 0 where the rows do not know them."""
    warnings: list[str]


def fit_cells(
    rows: Sequence[RunRow], bootstraps: int, rng: np.random.Generator, gate_bpb: float = LEARNS_CONTEXT_BPB
) -> FittedCells:
    """Fit every cell, sorted by arm and budget; FitError where no cell has enough sizes for a curve.

    A cell has learned context where its minimum is at least `gate_bpb` below the tokenizer's unigram model. Models
    leave that plateau at times that differ from run to run, so the other cells scatter more: they have curves, but no
    part in the noise and the curvature of those that have learned context.
    """
    kept = [row for row in rows if row.status == "finished" and row.bpb is not None]
    kept.sort(key=lambda row: (row.arm, row.budget_flops, row.non_embedding_parameters, row.seed, row.run))
    shift_BR, documents, about_documents = _document_shifts(kept, bootstraps, rng)
    curves = _curves(kept, shift_BR, bootstraps, rng)
    if not curves.noise:
        raise FitError(
            f"no arm has finished runs of {LEAST_SIZES} sizes at one budget, so no parabola can be fitted: let "
            "'bytegap train' finish, or raise 'sizes' in the study's [grid]"
        )
    learning = [
        index for index, row in enumerate(kept) if _below_unigram(row, curves.minima[_cell_of(row)]) >= gate_bpb
    ]
    if 0 < len(learning) < len(kept):
        shift = None if shift_BR is None else shift_BR[:, learning]
        curves = curves.replaced_by(_curves([kept[index] for index in learning], shift, bootstraps, rng))
    by_cell: dict[tuple[str, float], list[RunRow]] = defaultdict(list)
    for row in kept:
        by_cell[_cell_of(row)].append(row)
    return FittedCells(
        cells=[_fitted(own, curves.minima[cell], gate_bpb) for cell, own in by_cell.items()],
        noise_log_bpb={_label(level): level.residual_sd for level in curves.noise},
        noise=curves.noise,
        curvature=curves.curvature,
        skew=curves.skew,
        documents=documents,
        warnings=[*_left_out(rows), *about_documents, *_about_seeds(curves.noise)],
    )


@dataclass(frozen=True)
class _Curves:
    """The curves of cells, with the noise about them."""

    minima: dict[tuple[str, float], Minimum]
    noise: list[NoiseLevel]
    curvature: dict[str, CurvatureForm]
    skew: dict[str, Quantity]

    def replaced_by(self, others: "_Curves") -> "_Curves":
        """What `others` have of a cell, an arm or a permutation, in place of one's own."""
        refitted = {arm for arm, _ in others.minima}
        curvature, skew = dict(others.curvature), dict(others.skew)
        curvature.update((arm, form) for arm, form in self.curvature.items() if arm not in refitted)
        skew.update((arm, each) for arm, each in self.skew.items() if arm not in refitted)
        return _Curves(self.minima | others.minima, _merged(others.noise, self.noise), curvature, skew)


def _curves(rows: Sequence[RunRow], shift_BR: Array | None, bootstraps: int, rng: np.random.Generator) -> _Curves:
    """The curves of the cells of all arms, which share noise and curvatures where tests allow it."""
    by_arm: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_arm[row.arm].append(index)
    arms = {name: [rows[index] for index in indices] for name, indices in by_arm.items()}
    runs = [
        _arm_runs(arms[name], None if shift_BR is None else shift_BR[:, indices]) for name, indices in by_arm.items()
    ]
    groups = [(own[0].objective_label, own[0].permutation_label) for own in arms.values()]
    found = fit_minima(runs, groups, bootstraps, rng)
    return _Curves(
        {
            (name, budget): minimum
            for (name, own), minima in zip(arms.items(), found.minima, strict=True)
            for budget, minimum in zip(sorted({row.budget_flops for row in own}), minima, strict=True)
        },
        _noise_levels(found),
        {name: form for name, form in zip(arms, found.curvature, strict=True) if form is not None},
        {name: skew for name, skew in zip(arms, found.skew, strict=True) if skew.value is not None},
    )


def _cell_of(row: RunRow) -> tuple[str, float]:
    return row.arm, row.budget_flops


def _below_unigram(row: RunRow, minimum: Minimum) -> float:
    """How far the minimum of the row's cell is below the tokenizer's unigram model, in BPB."""
    return row.unigram_bpb - minimum.lowest_loss


def _left_out(rows: Sequence[RunRow]) -> list[str]:
    """One sentence for each run without a BPB."""
    return [
        f"run {row.run} ({row.arm}, {row.budget_flops:.2g} FLOPs) is left out: {row.reason or 'it has no BPB'}"
        for row in rows
        if row.status != "finished" or row.bpb is None
    ]


def _document_shifts(
    rows: Sequence[RunRow], bootstraps: int, rng: np.random.Generator
) -> tuple[Array | None, int, list[str]]:
    """(change of ln BPB of each run in each draw of documents, number of documents, warnings)."""
    documents = rows[0].document_bytes if rows else ()
    if len(documents) < LEAST_DOCUMENTS:
        known = "one held-out document" if documents else "runs.jsonl has no scores by document"
        return None, 0, [f"intervals leave out the difference between held-out documents: {known}"]
    nats_RH = np.array([row.document_nats for row in rows], dtype=np.float64)
    parameters_R = np.array([row.non_embedding_parameters for row in rows], dtype=np.float64)
    arm_R = np.array([row.arm for row in rows])
    for arm in set(arm_R.tolist()):
        own_R = arm_R == arm
        nats_RH[own_R] = without_run_noise(nats_RH[own_R], parameters_R[own_R])
    bytes_H = np.array(documents, dtype=np.float64)
    return document_shifts(nats_RH, bytes_H, bootstraps, rng), len(documents), []


def _arm_runs(rows: Sequence[RunRow], document_shift_BR: Array | None) -> ArmRuns:
    """The runs of one arm, sorted by budget, as arrays."""
    budgets = sorted({row.budget_flops for row in rows})
    return ArmRuns(
        cell_R=np.array([budgets.index(row.budget_flops) for row in rows]),
        parameters_R=np.array([row.non_embedding_parameters for row in rows], dtype=np.float64),
        tokens_R=np.array([row.tokens for row in rows], dtype=np.float64),
        flops_R=np.array([row.flops for row in rows], dtype=np.float64),
        loss_R=np.array([row.bpb for row in rows], dtype=np.float64),
        loss_se_R=np.array([row.bpb_se or 0.0 for row in rows], dtype=np.float64),
        passes_R=np.array([row.mc_passes for row in rows]),
        seed_R=np.array([row.seed for row in rows]),
        document_shift_BR=document_shift_BR,
    )


def _noise_levels(found: IsoflopFit) -> list[NoiseLevel]:
    """One for each group of equal noise."""
    levels: dict[tuple[str, tuple[str, ...]], tuple[Group, Noise]] = {}
    for group, noise in found.noise.items():
        levels.setdefault((group[0], noise.groups), (group, noise))
    pools = [objective for objective, _ in levels]
    return [
        NoiseLevel(
            objective=objective,
            permutations=noise.groups,
            pooled=pools.count(objective) == 1,
            residual_sd=noise.residual_sd,
            dof=noise.dof,
            seed_effect_sd=noise.seed_effect_sd,
            seed_effect=noise.seed_effect_source,
        )
        for (objective, _), (_, noise) in levels.items()
    ]


def _merged(levels: Sequence[NoiseLevel], further: Sequence[NoiseLevel]) -> list[NoiseLevel]:
    """The levels, and those of `further` for permutations that none of them has."""
    known = {(level.objective, permutation) for level in levels for permutation in level.permutations}
    merged = list(levels)
    for level in further:
        missing = tuple(each for each in level.permutations if (level.objective, each) not in known)
        if missing:
            merged.append(level.model_copy(update={"permutations": missing}))
    objectives = [level.objective for level in merged]
    return [level.model_copy(update={"pooled": objectives.count(level.objective) == 1}) for level in merged]


def _label(level: NoiseLevel) -> str:
    """The objective, with its permutation where those of the objective differ in noise."""
    return level.objective if level.pooled else f"{level.objective}, {level.permutations[0]}"


def _about_seeds(levels: Sequence[NoiseLevel]) -> list[str]:
    assumed = [level for level in levels if level.seed_effect == "assumed"]
    if not assumed:
        return []
    listed = ", ".join(f"{_label(level)} {level.seed_effect_sd:.2%}" for level in assumed)
    return [
        (
            "runs of a cell share a seed, and too few cells have a second one to show its effect: it is assumed to be "
            f"{ASSUMED_SEED_EFFECT:g} of the noise between runs ({listed})"
        )
    ]


def _fitted(rows: Sequence[RunRow], minimum: Minimum, gate_bpb: float) -> FittedCell:
    """The cell as recorded; it enters the frontier if its minimum is bracketed and below the unigram model."""
    below_bpb = _below_unigram(rows[0], minimum)
    learns_context = below_bpb >= gate_bpb
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
    return FittedCell(cell, minimum.flops, minimum.ln_loss_K, minimum.ln_size_K, minimum.ln_loss_run_K, minimum.runs)
