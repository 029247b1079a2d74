"""What the rule for learning rate and batch loses, per arm, at its smallest and its largest budget.

Along either axis a parabola goes through log validation BPB at the best power of two and its two neighbours; the rule
loses what lies between it and the vertex, both axes added. Lost BPB is lost compute along the arm's own frontier:
with L ~ C^-g, a rule that ends d higher in ln L has the loss of a tuned run on (1 - x) C, x = 1 - exp(-d / g).

A point is the mean over its seeds; one of which a seed diverged is none. The lowest of noisy points lies too low, so
losses are overstated, the more so the smaller they are. Intervals come from redrawing every run with the deviation
between seeds, pooled over all points of all cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import hypot
from statistics import fmean

import numpy as np

from bytegap.laws import Array
from bytegap.records import Plan, Quantity, RunSpec, TuningRow, TuningRun

DRAWS = 1000
WORTH_TELLING = 0.03
"""Difference between arms in the share of compute that the rule loses them."""

Powers = dict[int, Array]
"""log2 of the factor on the rule, to log BPB, one a seed."""

Means = dict[int, float]
"""The same, averaged over seeds."""


def judge(plan: Plan, bpb: Mapping[str, float]) -> list[TuningRow]:
    """A row for every cell that the audit varied; `bpb` is the validation BPB of every run that finished."""
    cells: dict[tuple[str, float], list[TuningRun]] = defaultdict(list)
    for run in plan.tuning:
        cells[run.spec.arm, run.spec.budget_flops].append(run)
    points = {key: found for key, own in cells.items() if (0, 0) in (found := _points(own, bpb))}
    deviation = _pooled(point for found in points.values() for point in found.values())
    rng = np.random.default_rng(0)
    return [
        _row(cells[key][0].spec, found, deviation, _exponent(plan.runs, key[0], bpb), rng)
        for key, found in points.items()
    ]


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


def _points(own: list[TuningRun], bpb: Mapping[str, float]) -> dict[tuple[int, int], Array]:
    """Log BPB by log2 of the factors on (rate, batch), one a seed, where every seed finished."""
    runs: dict[tuple[int, int], list[float]] = defaultdict(list)
    for run in own:
        runs[run.rate, run.batch].append(bpb.get(run.spec.id, np.inf))
    return {place: np.log(found) for place, found in sorted(runs.items()) if np.inf not in found}


def _pooled(seeds: Iterable[Array]) -> float | None:
    """Standard deviation between seeds, pooled over points; None where no point has two."""
    several = [each for each in seeds if len(each) > 1]
    freedom = sum(len(each) - 1 for each in several)
    return float(np.sqrt(sum(((each - each.mean()) ** 2).sum() for each in several) / freedom)) if freedom else None


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


def _row(
    spec: RunSpec,
    points: dict[tuple[int, int], Array],
    deviation: float | None,
    exponent: float | None,
    rng: np.random.Generator,
) -> TuningRow:
    rates = {rate: found for (rate, batch), found in points.items() if batch == 0}
    batches = {batch: found for (rate, batch), found in points.items() if rate == 0}
    found = [_lowest(_means(axis)) for axis in (rates, batches)]
    drawn = [
        [_lowest(_means(axis, deviation * rng.standard_normal(len(axis)))) for _ in range(DRAWS)]
        for axis in (rates, batches)
        if deviation
    ]
    lost = sum(loss for _, loss in found)
    lost_K = np.array([lost, *(sum(loss for _, loss in pair) for pair in zip(*drawn, strict=True))])
    rule = points[0, 0]
    return TuningRow(
        arm=spec.arm,
        budget_flops=spec.budget_flops,
        non_embedding_parameters=spec.non_embedding_parameters,
        rates=_factors(rates),
        batches=_factors(batches),
        best_rate=_quantity(2.0 ** np.array([found[0][0], *(power for power, _ in (drawn or [[]])[0])])),
        best_batch=_quantity(2.0 ** np.array([found[1][0], *(power for power, _ in (drawn or [[]])[-1])])),
        bracketed=all(_bracketed(_means(axis)) for axis in (rates, batches)),
        seed_log_bpb=_pooled(points.values()),
        lost_bpb=_quantity(np.exp(rule.mean()) * -np.expm1(-lost_K)),
        lost_compute=_quantity(-np.expm1(-lost_K / exponent)) if exponent else Quantity(value=None),
    )


def _means(axis: Powers, noise: Array | float = 0.0) -> Means:
    """Each point's mean, moved by what its seeds leave of a run's `noise`."""
    moved = np.broadcast_to(noise, len(axis))
    return {
        power: float(found.mean() + own / np.sqrt(len(found)))
        for (power, found), own in zip(axis.items(), moved, strict=True)
    }


def _factors(axis: Powers) -> list[tuple[float, float]]:
    return [(2.0**power, float(np.exp(mean))) for power, mean in sorted(_means(axis).items())]


def _bracketed(axis: Means) -> bool:
    best = min(axis, key=lambda power: axis[power])
    return best - 1 in axis and best + 1 in axis


def _lowest(axis: Means) -> tuple[float, float]:
    """(log2 of the best factor, how far the rule lies above it in log BPB)."""
    best = min(axis, key=lambda power: axis[power])
    place, low = float(best), axis[best]
    if best - 1 in axis and best + 1 in axis:
        below, above = axis[best - 1], axis[best + 1]
        bend = below - 2 * low + above
        if bend > 0:
            shift = (below - above) / (2 * bend)
            # Not lower below the best than its lesser neighbour above it: a parabola dives where one side is a cliff.
            place, low = best + shift, low - min(bend * shift**2 / 2, min(below, above) - low)
    return place, axis[0] - low


def _quantity(value_K: Array) -> Quantity:
    """The first value, with the 95 % interval of the others."""
    if len(value_K) == 1:
        return Quantity(value=float(value_K[0]))
    low, high = np.quantile(value_K[1:], (0.025, 0.975))
    return Quantity(value=float(value_K[0]), ci95=(float(low), float(high)))
