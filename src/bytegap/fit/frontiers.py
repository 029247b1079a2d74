"""Compute-optimal frontiers L(C) = E + A C^-g, one per arm, through the minima of its IsoFLOP cells.

Three forms: power law (E = 0), shared irreducible loss (one E for several arms), own irreducible loss (an E per arm).
Given E the law is a line, ln(L - E) = ln A - g ln C, fitted in closed form with weights that make its residuals those
of ln L; E is found by profiling. Every bootstrap draw of the cells gets its own fit.

Suffixes: K = point estimate and draws, P = budgets in the frontier, G = grid of irreducible losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bytegap.fit.cells import FittedCell
from bytegap.scaling import laws
from bytegap.scaling.bootstrap import interval, quantity
from bytegap.scaling.laws import Array
from bytegap.scaling.regression import profile_irreducible_loss, weighted_line
from bytegap.schema.fit import Form, Frontier
from bytegap.schema.runs import RunRow

LEAST_BUDGETS = 2
OWN_IRREDUCIBLE_LOSS_BUDGETS = 5
"""Budgets from which on an arm gets an irreducible loss of its own."""
CURVE_POINTS = 33


@dataclass(frozen=True)
class Arm:
    """An arm and the minima of its cells that are in the frontier, by rising compute."""

    name: str
    tokenizer: str
    is_bytes: bool
    vocab_size: int
    objective: str
    """Label: name and options."""
    permutation: str
    """Label: name and options."""
    model: str
    tight_likelihood: bool
    """Whether the scored likelihood is exact or a bound that a perfect model attains."""
    ln_flops_P: Array
    ln_bpb_KP: Array
    ln_bpb_sd_P: Array
    """Standard deviation of the draws of `ln_bpb_KP`."""

    @property
    def may_share_irreducible_loss(self) -> bool:
        """Whether its loss can approach the entropy of the text as written, which is the same for all such arms."""
        return self.permutation == "identity" and self.tight_likelihood

    @property
    def budgets(self) -> int:
        """Number of budgets in the frontier."""
        return len(self.ln_flops_P)

    @property
    def flops_observed(self) -> tuple[float, float]:
        """Least and most compute of those budgets."""
        return float(np.exp(self.ln_flops_P[0])), float(np.exp(self.ln_flops_P[-1]))

    @property
    def bpb_observed(self) -> tuple[float, float]:
        """Lowest and highest minimum of those budgets."""
        ln_bpb_P = self.ln_bpb_KP[0]
        return float(np.exp(ln_bpb_P.min())), float(np.exp(ln_bpb_P.max()))


@dataclass(frozen=True)
class FittedFrontier:
    """The frontier of one arm in one form, with draws."""

    arm: Arm
    form: Form
    irreducible_loss_K: Array
    """E, in BPB."""
    amplitude_K: Array
    """A."""
    exponent_K: Array
    """g."""
    holdout_error: float | None
    """|error| of ln L at the largest budget in a fit without it; None below five budgets."""

    def bpb(self, flops: float) -> Array:
        """Loss at a compute, L(C), (K,)."""
        return laws.frontier_bpb(flops, self.irreducible_loss_K, self.amplitude_K, self.exponent_K)

    def flops(self, bpb_K: float | Array) -> Array:
        """Compute at a loss, C(L), (K,)."""
        return laws.frontier_flops(bpb_K, self.irreducible_loss_K, self.amplitude_K, self.exponent_K)

    def slope(self, bpb_K: float | Array) -> Array:
        """Slope dL / d ln C at a loss, (K,)."""
        return laws.frontier_slope(bpb_K, self.irreducible_loss_K, self.exponent_K)

    @property
    def record(self) -> Frontier:
        """As written to fit.json."""
        low, high = self.arm.flops_observed
        line: list[tuple[float, float, float, float]] = []
        for flops in np.geomspace(low, high, CURVE_POINTS).tolist():
            bpb_K = self.bpb(flops)
            point = float(bpb_K[0])
            line.append((flops, point, *(interval(bpb_K[1:]) or (point, point))))
        return Frontier(
            arm=self.arm.name,
            form=self.form,
            irreducible_loss_bpb=quantity(self.irreducible_loss_K),
            amplitude=quantity(self.amplitude_K),
            exponent=quantity(self.exponent_K),
            flops_observed=(low, high),
            bpb_observed=self.arm.bpb_observed,
            curve=tuple(line),
        )


def arms_of(rows: Sequence[RunRow], cells: Sequence[FittedCell]) -> list[Arm]:
    """All arms, sorted by name, with the minima of those of their cells that are in the frontier."""
    first = {row.arm: row for row in reversed(rows)}
    arms: list[Arm] = []
    for name, row in sorted(first.items()):
        kept = [fitted for fitted in cells if fitted.cell.arm == name and fitted.cell.in_frontier]
        kept.sort(key=lambda fitted: fitted.flops)
        ln_bpb_KP = np.array([fitted.ln_bpb_K for fitted in kept]).T
        arms.append(
            Arm(
                name=name,
                tokenizer=row.tokenizer,
                is_bytes=row.tokenizer_kind == "bytes",
                vocab_size=row.vocab_size,
                objective=row.objective_label,
                permutation=row.permutation_label,
                model=row.model,
                tight_likelihood=row.tight_likelihood,
                ln_flops_P=np.log([fitted.flops for fitted in kept]),
                ln_bpb_KP=ln_bpb_KP,
                ln_bpb_sd_P=ln_bpb_KP[1:].std(axis=0) if kept else np.empty(0),
            )
        )
    return arms


def fit_frontiers(arms: Sequence[Arm]) -> tuple[list[FittedFrontier], list[str]]:
    """(the frontier of each arm in each form that its budgets allow, warnings)."""
    able = [arm for arm in arms if arm.budgets >= LEAST_BUDGETS]
    warnings = [
        f"{arm.name} has no frontier: it has {arm.budgets} good budgets and needs {LEAST_BUDGETS}"
        for arm in arms
        if arm not in able
    ]
    frontiers = [frontier for arm in able for frontier in _fit([arm], "power law")]
    sharing = [arm for arm in able if arm.may_share_irreducible_loss]
    if len(sharing) > 1:
        if _dof(sharing) > 0:
            frontiers += _fit(sharing, "shared irreducible loss")
        else:
            warnings.append("no shared irreducible loss is fitted: the arms have too few budgets to show one")
    for arm in able:
        if arm.budgets >= OWN_IRREDUCIBLE_LOSS_BUDGETS:
            frontiers += _fit([arm], "own irreducible loss")
    return frontiers, warnings


def preferred_form(arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> Form:
    """The form whose estimates are headlined for these arms.

    If every arm has at least five budgets, the form that best predicts their largest budgets from the others. Else the
    shared irreducible loss where it was fitted (a power law is its special case E = 0), else the power law.
    """
    forms: dict[Form, list[FittedFrontier]] = {}
    for frontier in frontiers:
        if any(frontier.arm is arm for arm in arms):
            forms.setdefault(frontier.form, []).append(frontier)
    errors: dict[Form, list[float]] = {
        form: [frontier.holdout_error for frontier in fitted if frontier.holdout_error is not None]
        for form, fitted in forms.items()
        if len(fitted) == len(arms)
    }
    if errors and all(len(found) == len(arms) for found in errors.values()):
        return min(errors, key=lambda form: sum(error**2 for error in errors[form]))
    return "shared irreducible loss" if "shared irreducible loss" in errors else "power law"


def _dof(arms: Sequence[Arm]) -> int:
    """Degrees of freedom of one line per arm and one irreducible loss for all."""
    return sum(arm.budgets - 2 for arm in arms) - 1


def _fit(arms: Sequence[Arm], form: Form) -> list[FittedFrontier]:
    """Fit one irreducible loss for all `arms` (0 for a power law) and one line per arm."""
    holdout_errors: dict[str, float] = {}
    if all(arm.budgets >= OWN_IRREDUCIBLE_LOSS_BUDGETS for arm in arms):
        shorter = [_without_largest(arm) for arm in arms]
        short_E_K = _irreducible_loss(shorter, form)
        for arm, short in zip(arms, shorter, strict=True):
            intercept_K, exponent_K, _ = _line(short, short_E_K[:, None])
            reducible = np.exp(intercept_K[0, 0] - exponent_K[0, 0] * arm.ln_flops_P[-1])
            holdout_errors[arm.name] = abs(float(np.log(short_E_K[0] + reducible) - arm.ln_bpb_KP[0, -1]))
    E_K = _irreducible_loss(arms, form)
    frontiers: list[FittedFrontier] = []
    for arm in arms:
        intercept_KG, exponent_KG, _ = _line(arm, E_K[:, None])
        amplitude_K = np.exp(intercept_KG[:, 0])
        error = holdout_errors.get(arm.name)
        frontiers.append(FittedFrontier(arm, form, E_K, amplitude_K, exponent_KG[:, 0], error))
    return frontiers


def _without_largest(arm: Arm) -> Arm:
    """The point estimates of all budgets but the largest."""
    return replace(
        arm,
        ln_flops_P=arm.ln_flops_P[:-1],
        ln_bpb_KP=arm.ln_bpb_KP[:1, :-1],
        ln_bpb_sd_P=arm.ln_bpb_sd_P[:-1],
    )


def _irreducible_loss(arms: Sequence[Arm], form: Form) -> Array:
    """E_K of the least weighted squares over all `arms`; 0 for a power law."""
    lowest_K = np.exp(np.min([arm.ln_bpb_KP.min(axis=1) for arm in arms], axis=0))
    if form == "power law":
        return np.zeros_like(lowest_K)
    return profile_irreducible_loss(lambda E_KG: np.sum([_line(arm, E_KG)[2] for arm in arms], axis=0), lowest_K)


def _line(arm: Arm, E_KG: Array) -> tuple[Array, Array, Array]:
    """(ln A, g, weighted squared error), each (K, G), of ln(L - E) = ln A - g ln C at given E.

    An error of ln L is L / (L - E) times as large in ln(L - E); the weights undo that, and divide by the cells' own
    variances.
    """
    bpb_K1P = np.exp(arm.ln_bpb_KP)[:, None, :]
    reducible_KGP = bpb_K1P - E_KG[:, :, None]
    y_KGP = np.log(reducible_KGP)
    sd_P = np.maximum(arm.ln_bpb_sd_P, 1e-9)
    weight_KGP = (reducible_KGP / bpb_K1P / sd_P) ** 2
    intercept_KG, slope_KG = weighted_line(arm.ln_flops_P, y_KGP, weight_KGP)
    residual_KGP = y_KGP - intercept_KG[:, :, None] - slope_KG[:, :, None] * arm.ln_flops_P
    return intercept_KG, -slope_KG, (weight_KGP * residual_KGP**2).sum(axis=2)
