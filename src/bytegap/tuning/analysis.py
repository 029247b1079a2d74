"""How much the rule for learning rate and batch size costs each arm, at its smallest and its largest budget.

Along each axis, a parabola is fitted by least squares to log validation BPB against log2 of the factor on the rule,
over about an octave to both sides of the rule, or of the best setting where that is farther off; settings are weighted
by how well their seeds agree.
The rule's loss is its distance from the minimum of the parabola, added over both axes.
It is converted to compute along the arm's own frontier: with L ~ C^-g, a rule that ends d higher in ln L has the loss
of a tuned run with (1 - x) C, x = 1 - exp(-d / g).

Intervals come from redrawing every setting's mean with its standard error between seeds, the seed effect common to all
settings removed, as it moves no minimum. Noise can only add to the distance from a minimum, so what it adds to the
redrawn losses on average is subtracted.
A setting of which a seed diverged is left out.
P settings, S seeds, D redraws, K settings of one axis, N settings near the minimum. No torch.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, inf, log2
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bytegap.plan.hyperparameters import RULE, Setting
from bytegap.scaling.laws import Array
from bytegap.schema.base import Quantity
from bytegap.schema.plan import Plan, RunSpec, TuningRun
from bytegap.schema.tuning import TuningRow
from bytegap.tuning.seed_noise import loss_table, seed_noise

DRAWS = 1000
"""Redraws of every setting's mean, for intervals."""

NOTABLE_DIFFERENCE = 0.03
"""Difference between arms in the share of compute that the rule costs, from which on it is reported as one."""

_FIT_WIDTH_OCTAVES = 1.3
"""Distance from its centre up to which a parabola is fitted; rounded batch sizes are seldom exactly an octave apart."""


@dataclass(frozen=True)
class Axis:
    """The settings of a cell in which one hyperparameter varies and the other is the rule's."""

    indices_K: NDArray[np.int64]
    """Their indices among the cell's settings."""
    log2_K: Array
    """log2 of the factor on the rule, ascending."""


@dataclass(frozen=True)
class Cell:
    """The tuning runs of an arm at one budget."""

    settings: tuple[Setting, ...]
    """P settings; batch sizes as rounded to full sequences."""
    log_bpb_PS: Array
    """NaN where a setting was not trained from a seed."""

    def axes(self) -> tuple[Axis, Axis]:
        """The settings along the learning rate, and along the batch size."""
        learning_rates = [(s.log2_learning_rate, i) for i, s in enumerate(self.settings) if s.log2_batch_size == 0]
        batch_sizes = [(s.log2_batch_size, i) for i, s in enumerate(self.settings) if s.log2_learning_rate == 0]
        return _axis(learning_rates), _axis(batch_sizes)


def _axis(points: Sequence[tuple[float, int]]) -> Axis:
    log2_K, indices_K = zip(*sorted(points), strict=True)
    return Axis(np.array(indices_K), np.array(log2_K))


@dataclass(frozen=True)
class Minimum:
    """The lowest point of an axis."""

    log2: float
    """log2 of the factor on the rule."""
    rule_excess: float
    """Log BPB at the rule less that at the minimum."""
    is_bracketed: bool
    """Whether the parabola has a minimum between its outermost settings."""


def analyse(plan: Plan, bpb: Mapping[str, float]) -> list[TuningRow]:
    """A row for each cell of the tuning audit; `bpb` has the validation BPB of every finished run, by id."""
    runs: dict[tuple[str, float], list[TuningRun]] = defaultdict(list)
    for run in plan.tuning:
        runs[run.spec.arm, run.spec.budget_flops].append(run)
    rng = np.random.default_rng(0)
    rows: list[TuningRow] = []
    for (arm, _), own in runs.items():
        if cell := _cell(own, bpb):
            rows.append(_row(own[0].spec, cell, _frontier_exponent(plan.runs, arm, bpb), rng))
    return rows


def _cell(own: Sequence[TuningRun], bpb: Mapping[str, float]) -> Cell | None:
    """The settings of which every seed finished; None where the rule is not among them.

    Two settings that were rounded to the same batch size are one.
    """
    rule = next((run.spec for run in own if Setting(run.rate, run.batch) == RULE), None)
    if rule is None:
        return None
    by_setting: dict[Setting, dict[int, float]] = defaultdict(dict)
    for run in own:
        setting = Setting(run.rate, log2(run.spec.batch_size / rule.batch_size))
        by_setting[setting][run.spec.seed] = bpb.get(run.spec.id, inf)
    finished = {setting: by_seed for setting, by_seed in by_setting.items() if inf not in by_seed.values()}
    if RULE not in finished:
        return None
    return Cell(tuple(finished), np.log(loss_table(finished.values())))


def _frontier_exponent(runs: Sequence[RunSpec], arm: str, bpb: Mapping[str, float]) -> float | None:
    """The g of L ~ C^-g through the best run of each budget; None with one budget, or where loss does not fall."""
    best: dict[float, float] = {}
    for run in runs:
        if run.arm == arm and run.id in bpb:
            best[run.budget_flops] = min(bpb[run.id], best.get(run.budget_flops, inf))
    if len(best) < 2:
        return None
    g = -float(np.polyfit(np.log(list(best)), np.log(list(best.values())), 1)[0])
    return g if g > 0 else None


def _row(spec: RunSpec, cell: Cell, exponent: float | None, rng: np.random.Generator) -> TuningRow:
    mean_P = np.nanmean(cell.log_bpb_PS, 1)
    noise = seed_noise(cell.log_bpb_PS)
    error_P = noise.error_P if noise else np.zeros(len(mean_P))
    draws = DRAWS if noise else 0
    # Row 0 is the data, the others are redraws.
    noise_DP = np.concatenate((np.zeros((1, len(mean_P))), error_P * rng.standard_normal((draws, len(mean_P)))))
    axes = cell.axes()
    minima = [[_minimum(axis, mean_P + noise_P, error_P) for axis in axes] for noise_P in noise_DP]
    excess_D = np.array([sum(minimum.rule_excess for minimum in both) for both in minima])
    if draws:
        excess_D = np.maximum(0.0, excess_D - (excess_D[1:].mean() - excess_D[0]))
    best_learning_rate, best_batch_size = (
        _quantity(2.0 ** np.array([both[axis].log2 for both in minima])) for axis in (0, 1)
    )
    learning_rates, batch_sizes = (_points(axis, mean_P) for axis in axes)
    rule_bpb = np.exp(mean_P[cell.settings.index(RULE)])
    return TuningRow(
        arm=spec.arm,
        budget_flops=spec.budget_flops,
        non_embedding_parameters=spec.non_embedding_parameters,
        rates=learning_rates,
        batches=batch_sizes,
        best_rate=best_learning_rate,
        best_batch=best_batch_size,
        bracketed=all(minimum.is_bracketed for minimum in minima[0]),
        seed_log_bpb=noise.between_seed_sd if noise else None,
        lost_bpb=_quantity(rule_bpb * -np.expm1(-excess_D)),
        lost_compute=_quantity(-np.expm1(-excess_D / exponent)) if exponent else Quantity(value=None),
    )


def _points(axis: Axis, mean_P: Array) -> tuple[tuple[float, float], ...]:
    """(factor on the rule, BPB) of the settings of an axis."""
    indices_K = axis.indices_K.tolist()
    return tuple((2.0**log, float(np.exp(mean_P[i]))) for i, log in zip(indices_K, axis.log2_K, strict=True))


def _minimum(axis: Axis, mean_P: Array, error_P: Array) -> Minimum:
    """The minimum of a parabola near the best setting; that setting itself where the parabola has none."""
    log2_K, mean_K, error_K = axis.log2_K, mean_P[axis.indices_K], error_P[axis.indices_K]
    best, rule = float(log2_K[mean_K.argmin()]), mean_K[log2_K == 0][0]
    centre = best if abs(best) > _FIT_WIDTH_OCTAVES / 2 else 0.0
    near_K = abs(log2_K - centre) <= _FIT_WIDTH_OCTAVES
    x_N = log2_K[near_K]
    if len(x_N) >= 3:
        weight_N = 1 / np.maximum(error_K[near_K], 1e-9)
        curvature, slope, level = np.polyfit(x_N, mean_K[near_K], 2, w=weight_N)
        if curvature > 0 and x_N.min() < (vertex := -slope / (2 * curvature)) < x_N.max():
            drop = curvature * vertex**2  # from the parabola at the rule to its vertex
            excess = drop if centre == 0 else max(0.0, rule - level + drop)
            return Minimum(vertex, excess, is_bracketed=True)
    return Minimum(best, rule - mean_K.min(), is_bracketed=False)


def _quantity(value_D: Array) -> Quantity:
    """The first value, with the 95 % interval of the others."""
    if len(value_D) == 1:
        return Quantity(value=float(value_D[0]))
    low, high = np.quantile(value_D[1:], (0.025, 0.975))
    return Quantity(value=float(value_D[0]), ci95=(float(low), float(high)))


def summary(rows: Sequence[TuningRow]) -> list[str]:
    """A sentence for each cell, and one that compares the arms."""
    lines = [_cell_sentence(row) for row in rows]
    lost = {arm: share for arm in dict.fromkeys(row.arm for row in rows) if (share := _mean_share(arm, rows))}
    if len(lost) > 1:
        least, *_, most = sorted(lost, key=lambda arm: lost[arm].value)
        difference = lost[most].value - lost[least].value
        error = hypot(lost[most].half_width, lost[least].half_width)
        verdict = f"whether within {NOTABLE_DIFFERENCE:.0%} cannot be decided"
        if difference - error > NOTABLE_DIFFERENCE:
            verdict = f"more than {NOTABLE_DIFFERENCE:.0%} apart"
        elif difference + error <= NOTABLE_DIFFERENCE:
            verdict = f"within {NOTABLE_DIFFERENCE:.0%}"
        lines.append(
            f"on average the shared rule costs {most} {lost[most].value:.0%} and {least} {lost[least].value:.0%} of "
            f"its compute, {difference:.0%} +- {error:.0%} apart: {verdict}"
        )
    return lines


def _cell_sentence(row: TuningRow) -> str:
    lost, interval = row.lost_compute, ""
    if lost.ci95:
        interval = f" ({lost.ci95[0]:.0%} to {lost.ci95[1]:.0%})"
    compute = f", the equivalent of {lost.value:.0%}{interval} of its compute" if lost.value is not None else ""
    return (
        f"{row.arm} at {row.budget_flops:.2g} FLOPs: the shared rule costs {row.lost_bpb.value:.3f} BPB{compute}; best "
        f"at {row.best_rate.value:.2g} times its learning rate and {row.best_batch.value:.2g} times its batch size"
        + ("" if row.bracketed else " (not bracketed)")
    )


@dataclass(frozen=True)
class _Share:
    """A share of compute with half of its 95 % interval."""

    value: float
    half_width: float


def _mean_share(arm: str, rows: Sequence[TuningRow]) -> _Share | None:
    """The share of compute lost, averaged over an arm's cells; None where no cell has one."""
    own = [row.lost_compute for row in rows if row.arm == arm and row.lost_compute.value is not None]
    half_widths = [(each.ci95[1] - each.ci95[0]) / 2 if each.ci95 else 0.0 for each in own]
    return _Share(fmean(each.value or 0.0 for each in own), hypot(*half_widths) / len(own)) if own else None
