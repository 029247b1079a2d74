"""What the rule for learning rate and batch loses, per arm, at its smallest and its largest budget.

Along either axis a parabola goes through log validation BPB at the best power of two and its two neighbours; the rule
loses what lies between it and the vertex, both axes added. Lost BPB is lost compute along the arm's own frontier:
with L ~ C^-g, a rule that ends d higher in ln L has the loss of a tuned run on (1 - x) C, x = 1 - exp(-d / g).

The lowest of noisy points lies too low, so losses are overstated, the more so the smaller they are. Intervals come from
redrawing every run with the deviation between seeds, pooled over all cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bytegap.laws import Array
from bytegap.records import Plan, Quantity, RunSpec, TuningRow, TuningRun

DRAWS = 1000
WORTH_TELLING = 0.03
"""Difference between arms in the share of compute that the rule loses them."""

Powers = dict[int, float]
"""log2 of the factor on the rule, to log BPB."""


def judge(plan: Plan, bpb: Mapping[str, float]) -> list[TuningRow]:
    """A row for every cell that the audit varied; `bpb` is the validation BPB of every run that finished."""
    cells: dict[tuple[str, float], list[TuningRun]] = defaultdict(list)
    for run in plan.tuning:
        if run.spec.id in bpb:
            cells[run.spec.arm, run.spec.budget_flops].append(run)
    seeds = {key: _seeds(own, bpb) for key, own in cells.items()}
    deviation = _pooled(seeds.values())
    rng = np.random.default_rng(0)
    return [_row(own, bpb, seeds[key], deviation, _exponent(plan.runs, key[0], bpb), rng) for key, own in cells.items()]


def summary(rows: Sequence[TuningRow]) -> list[str]:
    """A sentence a cell, and one that compares the arms."""
    lines = [
        f"{row.arm} at {row.budget_flops:.2g} FLOPs: the rule loses {row.lost_bpb.value:.3f} BPB"
        + (f", {_share(row.lost_compute)} of its compute" if row.lost_compute.value is not None else "")
        + f"; best at {row.best_rate.value:.2g} times its learning rate, {row.best_batch.value:.2g} times its batch"
        + ("" if row.bracketed else " (not bracketed)")
        for row in rows
    ]
    lost: dict[str, float] = {}
    for row in rows:
        if row.lost_compute.value is not None:
            lost[row.arm] = max(row.lost_compute.value, lost.get(row.arm, 0.0))
    if len(lost) > 1:
        most, least = max(lost, key=lambda arm: lost[arm]), min(lost, key=lambda arm: lost[arm])
        apart = lost[most] - lost[least]
        verdict = "more than" if apart > WORTH_TELLING else "within"
        lines.append(
            f"the rule loses {most} {lost[most]:.0%} and {least} {lost[least]:.0%} of its compute: {verdict} "
            f"{WORTH_TELLING:.0%} apart"
        )
    return lines


def _share(lost: Quantity) -> str:
    interval = f" ({lost.ci95[0]:.0%} to {lost.ci95[1]:.0%})" if lost.ci95 else ""
    return f"{lost.value:.0%}{interval}"


def _seeds(own: list[TuningRun], bpb: Mapping[str, float]) -> Array:
    """Log BPB at the rule, one a seed."""
    return np.log([bpb[run.spec.id] for run in own if (run.rate, run.batch) == (0, 0)])


def _pooled(seeds: Iterable[Array]) -> float | None:
    """Standard deviation between seeds, pooled over cells; None where no cell has two."""
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


def _row(  # noqa: PLR0913, PLR0917 - one call site
    own: list[TuningRun],
    bpb: Mapping[str, float],
    seeds: Array,
    deviation: float | None,
    exponent: float | None,
    rng: np.random.Generator,
) -> TuningRow:
    spec = next(run.spec for run in own if (run.rate, run.batch) == (0, 0))
    first = [run for run in own if run.spec.seed == spec.seed]
    rates = {run.rate: float(np.log(bpb[run.spec.id])) for run in first if run.batch == 0}
    batches = {run.batch: float(np.log(bpb[run.spec.id])) for run in first if run.rate == 0}
    found = [_lowest(axis) for axis in (rates, batches)]
    drawn = [
        [_lowest({power: y + deviation * rng.standard_normal() for power, y in axis.items()}) for _ in range(DRAWS)]
        for axis in (rates, batches)
        if deviation
    ]
    lost = sum(loss for _, loss in found)
    lost_K = np.array([lost, *(sum(loss for _, loss in pair) for pair in zip(*drawn, strict=True))])
    rule_bpb = float(np.exp(rates[0]))
    return TuningRow(
        arm=spec.arm,
        budget_flops=spec.budget_flops,
        non_embedding_parameters=spec.non_embedding_parameters,
        rates=_points(rates),
        batches=_points(batches),
        best_rate=_quantity(2.0 ** np.array([found[0][0], *(power for power, _ in (drawn or [[]])[0])])),
        best_batch=_quantity(2.0 ** np.array([found[1][0], *(power for power, _ in (drawn or [[]])[-1])])),
        bracketed=all(_bracketed(axis) for axis in (rates, batches)),
        seed_log_bpb=float(seeds.std(ddof=1)) if len(seeds) > 1 else None,
        lost_bpb=_quantity(rule_bpb * -np.expm1(-lost_K)),
        lost_compute=_quantity(-np.expm1(-lost_K / exponent)) if exponent else Quantity(value=None),
    )


def _points(axis: Powers) -> list[tuple[float, float]]:
    return [(2.0**power, float(np.exp(axis[power]))) for power in sorted(axis)]


def _bracketed(axis: Powers) -> bool:
    best = min(axis, key=lambda power: axis[power])
    return best - 1 in axis and best + 1 in axis


def _lowest(axis: Powers) -> tuple[float, float]:
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
