"""An arm's minima to its frontier L(C) = E + A C^-g: no floor, one that arms share, its own.

Given E the law is a line, ln(L - E) = ln A - g ln C, fitted in closed form with weights that make
its residuals those of ln L; E itself is found by profile, on a grid that is refined once. Every
bootstrap draw of the cells gets its own fit.

Suffixes: K = point estimate and draws, P = budgets kept, G = grid of floors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bytegap import laws
from bytegap.fit.draws import interval, quantity
from bytegap.fit.isoflop import FittedCell
from bytegap.laws import Array
from bytegap.records import Form, Frontier, RunRow

LEAST_BUDGETS = 2
OWN_FLOOR_BUDGETS = 5
_TIGHT = {"ar", "mdm", "block", "anyorder"}
"""Objectives whose bound can be tight; a span's cannot, and others are scored by `mdm` as they were not trained."""
GRID = 48
HIGHEST_FLOOR = 0.995
"""Of an arm's lowest BPB."""
CURVE_POINTS = 33


@dataclass(frozen=True)
class Arm:
    """Who an arm is, and the minima of its cells that may carry a frontier, by rising compute."""

    name: str
    tokens: str
    is_bytes: bool
    vocabulary: int
    objective: str
    order: str
    model: str
    ln_flops_P: Array
    ln_bpb_KP: Array
    ln_bpb_deviation_P: Array

    @property
    def can_be_tight(self) -> bool:
        """Whether its bound can be tight on the text as it was written: only such arms may share a floor."""
        return self.order == "identity" and self.objective.split(" ")[0] in _TIGHT

    @property
    def budgets(self) -> int:
        """How many budgets were kept."""
        return len(self.ln_flops_P)

    @property
    def flops_observed(self) -> tuple[float, float]:
        """Least and most compute kept."""
        return float(np.exp(self.ln_flops_P[0])), float(np.exp(self.ln_flops_P[-1]))

    @property
    def bpb_observed(self) -> tuple[float, float]:
        """Lowest and highest minimum kept."""
        ln_bpb_P = self.ln_bpb_KP[0]
        return float(np.exp(ln_bpb_P.min())), float(np.exp(ln_bpb_P.max()))


@dataclass(frozen=True)
class Curve:
    """A fitted frontier with its draws."""

    arm: Arm
    form: Form
    floor_K: Array
    amplitude_K: Array
    exponent_K: Array
    left_out_error: float | None
    """|ln L| missed at the largest budget when fitted without it; None below five budgets."""

    def bpb(self, flops: float) -> Array:
        """Loss at a compute, L(C), shape (K,)."""
        return laws.frontier_bpb(flops, self.floor_K, self.amplitude_K, self.exponent_K)

    def flops(self, bpb_K: float | Array) -> Array:
        """Compute at a loss, C(L), shape (K,)."""
        return laws.frontier_flops(bpb_K, self.floor_K, self.amplitude_K, self.exponent_K)

    def slope(self, bpb_K: float | Array) -> Array:
        """Slope dL / d ln C where the frontier passes `bpb_K`, shape (K,)."""
        return laws.frontier_slope(bpb_K, self.floor_K, self.exponent_K)

    @property
    def record(self) -> Frontier:
        """As written to `fit.json`."""
        low, high = self.arm.flops_observed
        bpb_observed = self.arm.bpb_observed
        line: list[tuple[float, float, float, float]] = []
        for flops in np.geomspace(low, high, CURVE_POINTS).tolist():
            bpb_K = self.bpb(flops)
            point = float(bpb_K[0])
            line.append((flops, point, *(interval(bpb_K[1:]) or (point, point))))
        return Frontier(
            arm=self.arm.name,
            form=self.form,
            floor_bpb=quantity(self.floor_K),
            amplitude=quantity(self.amplitude_K),
            exponent=quantity(self.exponent_K),
            flops_observed=(low, high),
            bpb_observed=bpb_observed,
            curve=line,
        )


def arms_of(rows: Sequence[RunRow], cells: Sequence[FittedCell]) -> list[Arm]:
    """Every arm, by name, with the minima of those of its cells that are in the frontier."""
    first = {row.arm: row for row in reversed(rows)}
    arms: list[Arm] = []
    for name, row in sorted(first.items()):
        kept = [fitted for fitted in cells if fitted.cell.arm == name and fitted.cell.in_frontier]
        kept.sort(key=lambda fitted: fitted.flops)
        ln_bpb_KP = np.array([fitted.ln_bpb_K for fitted in kept]).T
        arms.append(
            Arm(
                name=name,
                tokens=row.tokens,
                is_bytes=row.tokens_kind == "bytes",
                vocabulary=row.vocabulary,
                objective=row.objective,
                order=row.order,
                model=row.model,
                ln_flops_P=np.log([fitted.flops for fitted in kept]),
                ln_bpb_KP=ln_bpb_KP,
                ln_bpb_deviation_P=ln_bpb_KP[1:].std(axis=0) if kept else np.empty(0),
            )
        )
    return arms


def fit_frontiers(arms: Sequence[Arm]) -> tuple[list[Curve], list[str]]:
    """Each arm's frontier in each form its budgets allow, and what to be warned of."""
    able = [arm for arm in arms if arm.budgets >= LEAST_BUDGETS]
    warnings = [
        f"{arm.name} has no frontier: it has {arm.budgets} good budgets and needs {LEAST_BUDGETS}"
        for arm in arms
        if arm not in able
    ]
    curves = [curve for arm in able for curve in _fit([arm], "no floor")]
    tied = [arm for arm in able if arm.can_be_tight]
    if len(tied) > 1:
        if _freedom(tied) > 0:
            curves += _fit(tied, "shared floor")
        else:
            warnings.append("no shared floor is fitted: the arms have too few budgets to show one")
    for arm in able:
        if arm.budgets >= OWN_FLOOR_BUDGETS:
            curves += _fit([arm], "own floor")
    return curves, warnings


def preferred_form(arms: Sequence[Arm], curves: Sequence[Curve]) -> Form:
    """The form to lead with where these arms meet.

    From five budgets on in every arm, the one that best foretells their largest budgets. Before,
    the shared floor where there is one: the form without a floor is a case of it.
    """
    forms: dict[Form, list[Curve]] = {}
    for curve in curves:
        if any(curve.arm is arm for arm in arms):
            forms.setdefault(curve.form, []).append(curve)
    errors: dict[Form, list[float]] = {
        form: [curve.left_out_error for curve in fitted if curve.left_out_error is not None]
        for form, fitted in forms.items()
        if len(fitted) == len(arms)
    }
    if errors and all(len(found) == len(arms) for found in errors.values()):
        return min(errors, key=lambda form: sum(error**2 for error in errors[form]))
    return "shared floor" if "shared floor" in errors else "no floor"


def _freedom(arms: Sequence[Arm]) -> int:
    """Budgets beyond the parameters of a common floor and one line an arm."""
    return sum(arm.budgets - 2 for arm in arms) - 1


def _fit(arms: Sequence[Arm], form: Form) -> list[Curve]:
    """One floor for all `arms` (zero where the form has none), one line each."""
    missed: dict[str, float] = {}
    if all(arm.budgets >= OWN_FLOOR_BUDGETS for arm in arms):
        shorter = [_without_largest(arm) for arm in arms]
        floor_K = _floor(shorter, form)
        for arm, short in zip(arms, shorter, strict=True):
            intercept_K, exponent_K, _ = _line(short, floor_K[:, None])
            above = np.exp(intercept_K[0, 0] - exponent_K[0, 0] * arm.ln_flops_P[-1])
            missed[arm.name] = abs(float(np.log(floor_K[0] + above) - arm.ln_bpb_KP[0, -1]))
    floor_K = _floor(arms, form)
    curves: list[Curve] = []
    for arm in arms:
        intercept_KG, exponent_KG, _ = _line(arm, floor_K[:, None])
        amplitude_K = np.exp(intercept_KG[:, 0])
        error = missed.get(arm.name)
        curves.append(Curve(arm, form, floor_K, amplitude_K, exponent_KG[:, 0], error))
    return curves


def _without_largest(arm: Arm) -> Arm:
    """The arm's point estimates, its largest budget left out."""
    return replace(
        arm,
        ln_flops_P=arm.ln_flops_P[:-1],
        ln_bpb_KP=arm.ln_bpb_KP[:1, :-1],
        ln_bpb_deviation_P=arm.ln_bpb_deviation_P[:-1],
    )


def _floor(arms: Sequence[Arm], form: Form) -> Array:
    """E_K of least weighted squares over all `arms`, within 1/1000 of the lowest BPB."""
    lowest_K = np.exp(np.min([arm.ln_bpb_KP.min(axis=1) for arm in arms], axis=0))
    if form == "no floor":
        return np.zeros_like(lowest_K)
    return best_floor(lambda floor_KG: np.sum([_line(arm, floor_KG)[2] for arm in arms], axis=0), lowest_K)


def best_floor(error: Callable[[Array], Array], lowest_K: Array, rounds: int = 2) -> Array:
    """E_K of least `error` ((K, G) to (K, G)), each round on a grid between the neighbours of the last one's best."""
    low_K, high_K = np.zeros_like(lowest_K), HIGHEST_FLOOR * lowest_K
    best_K = low_K
    draw_K = np.arange(len(lowest_K))
    for _ in range(rounds):
        floor_KG = np.linspace(low_K, high_K, GRID, axis=1)
        at_K = error(floor_KG).argmin(axis=1)
        low_K, best_K = floor_KG[draw_K, np.maximum(at_K - 1, 0)], floor_KG[draw_K, at_K]
        high_K = floor_KG[draw_K, np.minimum(at_K + 1, GRID - 1)]
    return best_K


def _line(arm: Arm, floor_KG: Array) -> tuple[Array, Array, Array]:
    """(ln A, g, weighted squared error), each (K, G), of ln(L - E) = ln A - g ln C at given floors.

    An error of ln L is L / (L - E) times as large in ln(L - E); the weights undo that, and divide
    by the cells' own variances.
    """
    bpb_K1P = np.exp(arm.ln_bpb_KP)[:, None, :]
    above_KGP = bpb_K1P - floor_KG[:, :, None]
    y_KGP = np.log(above_KGP)
    deviation_P = np.maximum(arm.ln_bpb_deviation_P, 1e-9)
    weight_KGP = (above_KGP / bpb_K1P / deviation_P) ** 2
    intercept_KG, slope_KG = weighted_line(arm.ln_flops_P, y_KGP, weight_KGP)
    residual_KGP = y_KGP - intercept_KG[:, :, None] - slope_KG[:, :, None] * arm.ln_flops_P
    return intercept_KG, -slope_KG, (weight_KGP * residual_KGP**2).sum(axis=2)


def weighted_line(x_P: Array, y_KGP: Array, weight_KGP: Array) -> tuple[Array, Array]:
    """(intercept, slope), each (K, G), of least weighted squares."""
    total_KG = weight_KGP.sum(axis=2)
    centre_KG = (weight_KGP * x_P).sum(axis=2) / total_KG
    mean_KG = (weight_KGP * y_KGP).sum(axis=2) / total_KG
    x_KGP = x_P - centre_KG[:, :, None]
    slope_KG = (weight_KGP * x_KGP * y_KGP).sum(axis=2) / (weight_KGP * x_KGP**2).sum(axis=2)
    return mean_KG - slope_KG * centre_KG, slope_KG
