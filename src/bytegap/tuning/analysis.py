"""How much the rule for learning rate, batch size and weight decay costs each arm, at every audited budget.

A pure function of the rows of tuning.jsonl, and of those of runs.jsonl for the arm's frontier.
Along each axis, a parabola is fitted by least squares to log validation BPB against log2 of the factor on the rule,
over about an octave to both sides of the rule, or of the best setting where that is farther off; settings are weighted
by how well their seeds agree. Weight decay may be 0: its axis is log2((1 + factor) / 2), from -1 for none.
The rule's loss is its distance from the minimum of the parabola, added over the axes.
It is converted to compute along the arm's own frontier: with L ~ C^-g, a rule that ends d higher in ln L has the loss
of a tuned run with (1 - x) C, x = 1 - exp(-d / g).

Settings are compared by the seeds that they share.
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
from bytegap.schema.runs import RunRow, TuningRunRow
from bytegap.schema.tuning import TuningRow
from bytegap.tuning.seed_noise import loss_table, seed_noise, setting_means

DRAWS = 1000
"""Redraws of every setting's mean, for intervals."""

NOTABLE_DIFFERENCE = 0.03
"""Difference between arms in the share of compute that the rule costs, from which on it is reported as one."""

_FIT_WIDTH_OCTAVES = 1.3
"""Distance from its centre up to which a parabola is fitted; rounded batch sizes are seldom exactly an octave apart."""


@dataclass(frozen=True)
class Axis:
    """The settings of a cell in which one hyperparameter varies and the others are the rule's."""

    indices_K: NDArray[np.int64]
    """Their indices among the cell's settings."""
    factors_K: Array
    """On the rule's value, ascending."""
    shift: float = 0.0
    """Added to factors before logarithms are taken: 1 where a factor may be 0."""

    @property
    def octaves_K(self) -> Array:
        """Coordinates of the settings; 0 for the rule."""
        return np.log2((self.factors_K + self.shift) / (1 + self.shift))

    @property
    def least_octaves(self) -> float:
        """The coordinate of a factor of 0, below which there is nothing."""
        return log2(self.shift / (1 + self.shift)) if self.shift else -inf

    def factor(self, octaves: float) -> float:
        """The factor at a coordinate."""
        return (1 + self.shift) * 2.0**octaves - self.shift


@dataclass(frozen=True)
class Cell:
    """The tuning runs of one size of an arm at one budget."""

    settings: tuple[Setting, ...]
    """P settings; batch sizes as rounded to full sequences."""
    log_bpb_PS: Array
    """NaN where a setting was not trained from a seed."""

    def axes(self) -> tuple[Axis, Axis, Axis]:
        """The settings along the learning rate, the batch size and the weight decay; each has the rule."""
        rates, batches, weight_decays = dict[int, float](), dict[int, float](), dict[int, float]()
        for index, setting in enumerate(self.settings):
            if setting == Setting(log2_learning_rate=setting.log2_learning_rate):
                rates[index] = setting.learning_rate_factor
            if setting == Setting(log2_batch_size=setting.log2_batch_size):
                batches[index] = setting.batch_size_factor
            if setting == Setting(weight_decay_factor=setting.weight_decay_factor):
                weight_decays[index] = setting.weight_decay_factor
        return _axis(rates), _axis(batches), _axis(weight_decays, shift=1)


def _axis(factors: Mapping[int, float], shift: float = 0.0) -> Axis:
    """The axis of the settings with these indices."""
    indices = sorted(factors, key=lambda index: factors[index])
    return Axis(np.array(indices), np.array([factors[index] for index in indices]), shift)


@dataclass(frozen=True)
class Minimum:
    """The lowest point of an axis."""

    factor: float
    """On the rule's value."""
    rule_excess: float
    """Log BPB at the rule less that at the minimum."""
    is_bracketed: bool
    """Whether the parabola has a minimum between its outermost settings, or one at a factor of 0."""


def analyse(tuned: Sequence[TuningRunRow], runs: Sequence[RunRow]) -> list[TuningRow]:
    """A row for each cell of the tuning audit, from the rows of tuning.jsonl and of runs.jsonl.

    Should the best size of a budget have changed since, each size that was audited is a cell.
    """
    cells: dict[tuple[str, float, int], list[TuningRunRow]] = defaultdict(list)
    for run in tuned:
        cells[run.arm, run.budget_flops, run.non_embedding_parameters].append(run)
    rng = np.random.default_rng(0)
    rows: list[TuningRow] = []
    for (arm, _, _), own in cells.items():
        if cell := _cell(own):
            rows.append(_row(own[0], cell, _frontier_exponent(runs, arm), rng))
    return rows


def _cell(own: Sequence[TuningRunRow]) -> Cell | None:
    """The settings of which no seed failed; None where the rule is not among them, or nothing else is.

    Two settings that were rounded to the same batch size are one.
    """
    planned = [Setting(run.log2_learning_rate, run.log2_batch_size, run.weight_decay_factor) for run in own]
    if RULE not in planned:
        return None
    rule = own[planned.index(RULE)]
    by_setting: dict[Setting, dict[int, float]] = defaultdict(dict)
    for run in own:
        log2_batch_size = log2(run.batch_tokens / rule.batch_tokens)
        setting = Setting(run.log2_learning_rate, log2_batch_size, run.weight_decay_factor)
        by_setting[setting][run.seed] = inf if run.validation_bpb is None else run.validation_bpb
    finished = {setting: by_seed for setting, by_seed in by_setting.items() if inf not in by_seed.values()}
    if RULE not in finished or len(finished) == 1:
        return None
    return Cell(tuple(finished), np.log(loss_table(finished.values())))


def _frontier_exponent(runs: Sequence[RunRow], arm: str) -> float | None:
    """The g of L ~ C^-g through the best run of each budget; None with one budget, or where loss does not fall."""
    best: dict[float, float] = {}
    for run in runs:
        if run.arm == arm and run.validation_bpb is not None:
            best[run.budget_flops] = min(run.validation_bpb, best.get(run.budget_flops, inf))
    if len(best) < 2:
        return None
    g = -float(np.polyfit(np.log(list(best)), np.log(list(best.values())), 1)[0])
    return g if g > 0 else None


def _row(run: TuningRunRow, cell: Cell, exponent: float | None, rng: np.random.Generator) -> TuningRow:
    mean_P = setting_means(cell.log_bpb_PS)
    noise = seed_noise(cell.log_bpb_PS)
    error_P = noise.error_P if noise else np.zeros(len(mean_P))
    draws = DRAWS if noise else 0
    # Row 0 is the data, the others are redraws.
    noise_DP = np.concatenate((np.zeros((1, len(mean_P))), error_P * rng.standard_normal((draws, len(mean_P)))))
    axes = cell.axes()
    varied = [axis for axis in axes[2:] if len(axis.factors_K) > 1]  # audits of earlier versions have no weight decay
    minima = [[_minimum(axis, mean_P + noise_P, error_P) for axis in (*axes[:2], *varied)] for noise_P in noise_DP]
    excess_D = np.array([sum(minimum.rule_excess for minimum in each) for each in minima])
    if draws:
        excess_D = np.maximum(0.0, excess_D - (excess_D[1:].mean() - excess_D[0]))
    learning_rates, batch_sizes, weight_decays = (_points(axis, mean_P) for axis in axes)
    rule_bpb = np.exp(mean_P[cell.settings.index(RULE)])
    return TuningRow(
        arm=run.arm,
        budget_flops=run.budget_flops,
        non_embedding_parameters=run.non_embedding_parameters,
        rates=learning_rates,
        batches=batch_sizes,
        weight_decays=weight_decays if varied else (),
        best_rate=_quantity(np.array([each[0].factor for each in minima])),
        best_batch=_quantity(np.array([each[1].factor for each in minima])),
        best_weight_decay=_quantity(np.array([each[2].factor for each in minima])) if varied else Quantity(value=None),
        bracketed=all(minimum.is_bracketed for minimum in minima[0]),
        seed_log_bpb=noise.between_seed_sd if noise else None,
        lost_bpb=_quantity(rule_bpb * -np.expm1(-excess_D)),
        lost_compute=_quantity(-np.expm1(-excess_D / exponent)) if exponent else Quantity(value=None),
    )


def _points(axis: Axis, mean_P: Array) -> tuple[tuple[float, float], ...]:
    """(factor on the rule, BPB) of the settings of an axis."""
    bpb_K = np.exp(mean_P[axis.indices_K])
    return tuple(zip(axis.factors_K.tolist(), bpb_K.tolist(), strict=True))


def _minimum(axis: Axis, mean_P: Array, error_P: Array) -> Minimum:
    """The minimum of a parabola near the best setting; that setting itself where the parabola has none.

    A factor of 0 that is the best setting is bracketed, because there is none below it.
    """
    octaves_K, mean_K, error_K = axis.octaves_K, mean_P[axis.indices_K], error_P[axis.indices_K]
    best, rule = float(octaves_K[mean_K.argmin()]), mean_K[octaves_K == 0][0]
    centre = best if abs(best) > _FIT_WIDTH_OCTAVES / 2 else 0.0
    near_K = abs(octaves_K - centre) <= _FIT_WIDTH_OCTAVES
    x_N = octaves_K[near_K]
    if len(x_N) >= 3:
        weight_N = 1 / np.maximum(error_K[near_K], 1e-9)
        curvature, slope, level = np.polyfit(x_N, mean_K[near_K], 2, w=weight_N)
        if curvature > 0 and x_N.min() < (vertex := -slope / (2 * curvature)) < x_N.max():
            drop = curvature * vertex**2  # from the parabola at the rule to its vertex
            excess = drop if centre == 0 else max(0.0, rule - level + drop)
            return Minimum(axis.factor(vertex), excess, is_bracketed=True)
    return Minimum(axis.factor(best), rule - mean_K.min(), is_bracketed=best == axis.least_octaves)


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
    best = [f"{row.best_rate.value:.2g} times its learning rate", f"{row.best_batch.value:.2g} times its batch size"]
    if row.best_weight_decay.value is not None:
        best.append(f"{row.best_weight_decay.value:.2g} times its weight decay")
    return (
        f"{row.arm} at {row.budget_flops:.2g} FLOPs: the shared rule costs {row.lost_bpb.value:.3f} BPB{compute}; best "
        f"at {', '.join(best[:-1])} and {best[-1]}" + ("" if row.bracketed else " (not bracketed)")
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
