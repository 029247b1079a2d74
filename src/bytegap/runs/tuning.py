"""What the rule for learning rate and batch loses, per arm, at its smallest and its largest budget.

Along either axis a parabola goes through log validation BPB against log2 of the factor, by least squares over an octave
to both sides of the rule, or of the best place where that lies farther off; places count as their seeds agree. The rule
loses what lies between it and the vertex, both axes added. Lost BPB is lost compute along the arm's own frontier: with
L ~ C^-g, a rule that ends d higher in ln L has the loss of a tuned run on (1 - x) C, x = 1 - exp(-d / g).

Intervals come from redrawing every place with the deviation between its seeds, less what a seed moves all places by,
since that moves no vertex. Noise about a vertex only ever adds to a loss: what it adds to redrawn ones is taken off.
A place of which a seed diverged is none.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, inf, log2
from statistics import fmean

import numpy as np

from bytegap.laws import Array
from bytegap.records import Plan, Quantity, RunSpec, TuningRow, TuningRun
from bytegap.seeds import spread, table

DRAWS = 1000

Place = tuple[float, float]
"""log2 of (learning rate, batch) over the rule's."""

WORTH_TELLING = 0.03
"""Difference between arms in the share of compute that the rule loses them."""

_REACH = 1.3
"""Octaves from its centre that a parabola goes by; batches of whole rows are seldom twice another."""


@dataclass(frozen=True)
class Cell:
    """An arm's places at one budget; P of them, S seeds."""

    rate_P: Array
    """log2 of the factor on the rule's learning rate."""
    batch_P: Array
    """The same of the batch, as whole rows made it."""
    log_bpb_PS: Array
    """NaN where a place was not trained from a seed."""

    def along(self, which: int) -> tuple[list[int], Array]:
        """Rate (0) or batch (1) varied alone: the places, and their log2 factors ascending."""
        own_P, other_P = (self.rate_P, self.batch_P) if which == 0 else (self.batch_P, self.rate_P)
        places = sorted(np.flatnonzero(other_P == 0).tolist(), key=lambda place: own_P[place])
        return places, own_P[places]


def judge(plan: Plan, bpb: Mapping[str, float]) -> list[TuningRow]:
    """A row for every cell that the audit varied; `bpb` is the validation BPB of every run that finished."""
    runs: dict[tuple[str, float], list[TuningRun]] = defaultdict(list)
    for run in plan.tuning:
        runs[run.spec.arm, run.spec.budget_flops].append(run)
    rng = np.random.default_rng(0)
    rows: list[TuningRow] = []
    for (arm, _), own in runs.items():
        if cell := _cell(own, bpb):
            rows.append(_row(own[0].spec, cell, _exponent(plan.runs, arm, bpb), rng))
    return rows


def summary(rows: Sequence[TuningRow]) -> list[str]:
    """A sentence a cell, and one that compares the arms."""
    lines = [
        f"{row.arm} at {row.budget_flops:.2g} FLOPs: the rule loses {row.lost_bpb.value:.3f} BPB"
        + (f", {_share(row.lost_compute)} of its compute" if row.lost_compute.value is not None else "")
        + f"; best at {row.best_rate.value:.2g} times its learning rate, {row.best_batch.value:.2g} times its batch"
        + ("" if row.bracketed else " (not bracketed)")
        for row in rows
    ]
    lost = {arm: quantity for arm in dict.fromkeys(row.arm for row in rows) if (quantity := _mean(arm, rows))}
    if len(lost) > 1:
        least, *_, most = sorted(lost, key=lambda arm: lost[arm][0])
        apart = lost[most][0] - lost[least][0]
        error = hypot(lost[most][1], lost[least][1])
        verdict = f"whether within {WORTH_TELLING:.0%} cannot be told"
        if apart - error > WORTH_TELLING:
            verdict = f"more than {WORTH_TELLING:.0%} apart"
        elif apart + error <= WORTH_TELLING:
            verdict = f"within {WORTH_TELLING:.0%}"
        lines.append(
            f"on average the rule loses {most} {lost[most][0]:.0%} and {least} {lost[least][0]:.0%} of its compute, "
            f"{apart:.0%} +- {error:.0%} apart: {verdict}"
        )
    return lines


def _mean(arm: str, rows: Sequence[TuningRow]) -> tuple[float, float] | None:
    """Lost share of compute averaged over an arm's cells, and half its 95 % interval; None where nothing is known."""
    own = [row.lost_compute for row in rows if row.arm == arm and row.lost_compute.value is not None]
    halves = [(each.ci95[1] - each.ci95[0]) / 2 if each.ci95 else 0.0 for each in own]
    return (fmean(each.value or 0.0 for each in own), hypot(*halves) / len(own)) if own else None


def _share(lost: Quantity) -> str:
    interval = f" ({lost.ci95[0]:.0%} to {lost.ci95[1]:.0%})" if lost.ci95 else ""
    return f"{lost.value:.0%}{interval}"


def _cell(own: list[TuningRun], bpb: Mapping[str, float]) -> Cell | None:
    """The places of which every seed finished; None where the rule's is not among them.

    A batch is as many whole rows as it came to, whatever was asked for.
    """
    rule = next((run.spec for run in own if (run.rate, run.batch) == (0, 0)), None)
    if rule is None:
        return None
    runs: dict[Place, dict[int, float]] = defaultdict(dict)
    for run in own:
        batch = log2(run.spec.rows_per_batch / rule.rows_per_batch)
        runs[run.rate, batch][run.spec.seed] = bpb.get(run.spec.id, inf)
    runs = {place: found for place, found in runs.items() if inf not in found.values()}
    if (0, 0) not in runs:
        return None
    return Cell(
        rate_P=np.array([rate for rate, _ in runs]),
        batch_P=np.array([batch for _, batch in runs]),
        log_bpb_PS=np.log(table(runs.values())),
    )


def _exponent(runs: list[RunSpec], arm: str, bpb: Mapping[str, float]) -> float | None:
    """G of L ~ C^-g through the best run of each budget; None where there is one budget, or no gain."""
    best: dict[float, float] = {}
    for run in runs:
        if run.arm == arm and run.id in bpb:
            best[run.budget_flops] = min(bpb[run.id], best.get(run.budget_flops, np.inf))
    if len(best) < 2:
        return None
    g = -float(np.polyfit(np.log(list(best)), np.log(list(best.values())), 1)[0])
    return g if g > 0 else None


def _row(spec: RunSpec, cell: Cell, exponent: float | None, rng: np.random.Generator) -> TuningRow:
    mean_P = np.nanmean(cell.log_bpb_PS, 1)
    seeds = spread(cell.log_bpb_PS)
    error_P = seeds.error_P if seeds else np.zeros(len(mean_P))
    draws = DRAWS if seeds else 0
    noise_DP = np.concatenate((np.zeros((1, len(mean_P))), error_P * rng.standard_normal((draws, len(mean_P)))))
    axes = [cell.along(which) for which in (0, 1)]

    def lowest(drawn_P: Array) -> list[tuple[float, float, bool]]:
        return [_lowest(power_K, drawn_P[places], error_P[places]) for places, power_K in axes]

    found = [lowest(mean_P + noise_P) for noise_P in noise_DP]
    best_DA = np.array([[best for best, _, _ in both] for both in found])
    lost_D = np.array([sum(lost for _, lost, _ in both) for both in found])
    if draws:
        lost_D = np.maximum(0.0, lost_D - (lost_D[1:].mean() - lost_D[0]))
    rule = mean_P[(cell.rate_P == 0) & (cell.batch_P == 0)][0]
    rates, batches = (
        [(2.0**power, float(np.exp(mean_P[place]))) for place, power in zip(places, power_K, strict=True)]
        for places, power_K in axes
    )
    return TuningRow(
        arm=spec.arm,
        budget_flops=spec.budget_flops,
        non_embedding_parameters=spec.non_embedding_parameters,
        rates=rates,
        batches=batches,
        best_rate=_quantity(2.0 ** best_DA[:, 0]),
        best_batch=_quantity(2.0 ** best_DA[:, 1]),
        bracketed=all(bracketed for _, _, bracketed in found[0]),
        seed_log_bpb=seeds.between if seeds else None,
        lost_bpb=_quantity(np.exp(rule) * -np.expm1(-lost_D)),
        lost_compute=_quantity(-np.expm1(-lost_D / exponent)) if exponent else Quantity(value=None),
    )


def _lowest(power_K: Array, mean_K: Array, error_K: Array) -> tuple[float, float, bool]:
    """(log2 of the best factor, how far the rule lies above it in log BPB, whether a valley was found within reach)."""
    best, rule = power_K[mean_K.argmin()], mean_K[power_K == 0][0]
    centre = best if abs(best) > _REACH / 2 else 0.0
    near_K = abs(power_K - centre) <= _REACH
    x_N = power_K[near_K]
    if len(x_N) >= 3:
        weight_N = 1 / np.maximum(error_K[near_K], 1e-9)
        bend, slope, level = np.polyfit(x_N, mean_K[near_K], 2, w=weight_N)
        if bend > 0 and x_N.min() < (vertex := -slope / (2 * bend)) < x_N.max():
            fall = bend * vertex**2  # from the rule to the vertex, both on the parabola where it goes by the rule
            return vertex, fall if centre == 0 else max(0.0, rule - level + fall), True
    return best, rule - mean_K.min(), False


def _quantity(value_K: Array) -> Quantity:
    """The first value, with the 95 % interval of the others."""
    if len(value_K) == 1:
        return Quantity(value=float(value_K[0]))
    low, high = np.quantile(value_K[1:], (0.025, 0.975))
    return Quantity(value=float(value_K[0]), ci95=(float(low), float(high)))
