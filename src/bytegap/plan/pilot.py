"""The pilot of a study that names hours: small cells of each arm until it is known where the arm learns.

Pure functions: which cell an arm needs next, given the runs that it has.
An arm starts at about the compute at which its prior expects it to learn context, and goes on in steps of 4 in compute.
Masked models leave their unigram abruptly, so an arm goes on until it has left it, or until the pilot's share of the
hours is spent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from bytegap.models.base import ModelConfig
from bytegap.plan.grid import ArmContext, can_train, resolve_run, run_seed
from bytegap.plan.outlook import CONTEXT_BPB
from bytegap.plan.rough_law import LEARNING_BPB, Points, Prior, RoughLaw, fit_rough_law, prior_of
from bytegap.plan.throughput import Throughput
from bytegap.schema.plan import RunSpec

PILOT_SHARE = 0.15
"""Largest share of the hours that the pilot may take."""
_SIZES, _SPACINGS, _LEAST_SIZES = 4, (2, 1), 3
"""Sizes of a cell, apart as far as the budget can train them; fewer where it cannot train so many."""
_RATIO = 4.0
"""Between the budgets of an arm."""
_GOOD_BUDGETS, _MOST_BUDGETS = 2, 8
"""Budgets with a model that has begun to use context before an arm is done; and most budgets that it may take."""
_LEAST_FLOPS = 1e9
"""Of a budget: less trains the smallest models on too few tokens to follow a law (assumption)."""
_START_BELOW = 2.0
"""The first budget is the one at which the arm is expected to learn context, divided by this."""
_REPETITION = 999
"""Of the pilot's seeds: a number that no run of a plan has, so that none is in a pilot and in a fit."""


@dataclass(frozen=True)
class PilotArm:
    """What decides the pilot of one arm."""

    context: ArmContext
    unigram_bpb: float
    """Validation BPB of its tokenizer's unigram model."""
    throughput: Throughput

    @property
    def prior(self) -> Prior:
        """What is assumed of it."""
        return prior_of(is_bytes=self.context.tokenizer.kind == "bytes", is_exact=self.context.objective.is_exact)

    def law(self, scored: Sequence[tuple[RunSpec, float]], seed: int = 0) -> RoughLaw:
        """Its law from the runs that have a validation score, each with its BPB."""
        points = Points(
            np.array([spec.flops for spec, _ in scored]),
            np.array([float(spec.non_embedding_parameters) for spec, _ in scored]),
            np.array([bpb for _, bpb in scored]),
        )
        return fit_rough_law(points, self.unigram_bpb, self.prior, seed)


@dataclass(frozen=True)
class Allowance:
    """What a pilot may take."""

    worker_s: float
    """Worker seconds, those of the runs so far included."""
    workers: int
    """Runs trained at the same time."""


def next_round(
    arms: Sequence[PilotArm], runs: Sequence[RunSpec], bpb: Mapping[str, float], allowance: Allowance
) -> list[RunSpec]:
    """The cells to train next: one, or as many as give every worker a run. Empty once the pilot is done.

    Arms with the fewest cells come first, of these the cheapest; a cell that does not fit into the allowance is left
    out. `bpb` has the validation BPB of finished runs by id.
    """
    throughput = {arm.context.arm_name: arm.throughput for arm in arms}
    left_s = allowance.worker_s - sum(throughput[spec.arm].seconds(spec) for spec in runs)
    costed: list[tuple[int, float, list[RunSpec]]] = []
    for arm in arms:
        own = [spec for spec in runs if spec.arm == arm.context.arm_name]
        if cell := next_cell(arm, own, bpb):
            budgets = len({spec.budget_flops for spec in own})
            costed.append((budgets, sum(arm.throughput.seconds(spec) for spec in cell), cell))
    added: list[RunSpec] = []
    for _, seconds, cell in sorted(costed, key=lambda each: each[:2]):
        if seconds <= left_s and len(added) < allowance.workers:
            added += cell
            left_s -= seconds
    return added


def next_cell(arm: PilotArm, runs: Sequence[RunSpec], bpb: Mapping[str, float]) -> list[RunSpec]:
    """The next runs of an arm that has these; empty where it needs none."""
    scored = [(spec, bpb[spec.id]) for spec in runs if spec.id in bpb]
    budgets = sorted({spec.budget_flops for spec in runs})
    if is_done(arm, scored) or len(budgets) >= _MOST_BUDGETS:
        return []
    law = arm.law(scored)
    return _cell(arm, _RATIO * budgets[-1] if budgets else _first_budget(arm, law), law)


def is_done(arm: PilotArm, scored: Sequence[tuple[RunSpec, float]]) -> bool:
    """Whether the arm has learned context, at budgets enough for a law, with its best size between others."""
    cells: dict[float, dict[int, float]] = {}
    for spec, bpb in scored:
        cells.setdefault(spec.budget_flops, {})[spec.non_embedding_parameters] = bpb
    good = [cell for _, cell in sorted(cells.items()) if min(cell.values()) <= arm.unigram_bpb - LEARNING_BPB]
    if len(good) < _GOOD_BUDGETS or min(good[-1].values()) > arm.unigram_bpb - CONTEXT_BPB:
        return False
    return any(_is_bracketed(cell) for cell in good) or len(good) > _GOOD_BUDGETS


def _is_bracketed(cell: Mapping[int, float]) -> bool:
    """Whether the best size is neither the smallest nor the largest."""
    return min(cell, key=lambda params: cell[params]) not in {min(cell), max(cell)}


def _first_budget(arm: PilotArm, law: RoughLaw) -> float:
    """Where the arm is expected to learn context, less a factor; not below what trains the sizes of a cell."""
    expected = float(np.exp(law.ln_flops(arm.unigram_bpb - CONTEXT_BPB)[0])) / _START_BELOW
    budget_flops = max(_LEAST_FLOPS, float(f"{expected:.1e}"))
    while len(list(_trainable(arm, budget_flops))) < _LEAST_SIZES:
        budget_flops *= _RATIO
    return budget_flops


def _cell(arm: PilotArm, budget_flops: float, law: RoughLaw) -> list[RunSpec]:
    """The runs of a pilot's cell, centred on the best size so far."""
    trainable = list(enumerate(_trainable(arm, budget_flops)))
    sizes = min(_SIZES, len(trainable))
    spacing = next((each for each in _SPACINGS if len(trainable) > (sizes - 1) * each), 1)
    offsets = [
        abs(float(np.log(config.parameters().non_embedding) - law.ln_params(np.asarray(budget_flops))[0]))
        for _, config in trainable
    ]
    span = (sizes - 1) * spacing
    start = min(range(len(trainable) - span), key=lambda first: max(offsets[first], offsets[first + span]))
    chosen = trainable[start : start + span + 1 : spacing]
    return [
        resolve_run(arm.context, config, budget_flops, run_seed(arm.context.study.seed, _REPETITION, size))
        for size, config in chosen
    ]


def _trainable(arm: PilotArm, budget_flops: float) -> Iterator[ModelConfig]:
    """The sizes that a budget trains for at least `plan.grid.MIN_STEPS` steps."""
    return takewhile(lambda config: can_train(arm.context, config, budget_flops), arm.context.sizes())
