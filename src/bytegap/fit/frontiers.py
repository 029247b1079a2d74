"""Compute-optimal frontiers of a study's arms, L(C) = E + A C^-g, in up to four forms.

Power law (E = 0), shared irreducible loss (one E for several arms) and own irreducible loss (an E per arm) go through
the minima of IsoFLOP cells; the parametric form is the frontier of the Chinchilla law of the arm's runs. What an
estimate differs by between forms is part of what is not known about it.

Suffixes: K = point estimate and draws, P = budgets in the frontier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit.cells import FittedCell
from bytegap.scaling import laws
from bytegap.scaling.bootstrap import interval, quantity
from bytegap.scaling.frontier import FrontierLaw, FrontierPoints, fit_frontier_laws, holdout_errors
from bytegap.scaling.laws import Array
from bytegap.scaling.parametric import fit_parametric_law
from bytegap.schema.frontier import Form, Frontier
from bytegap.schema.runs import RunRow
from bytegap.study.comparisons import ArmTraits

LEAST_BUDGETS = 2
OWN_IRREDUCIBLE_LOSS_BUDGETS = 4
"""Budgets from which on an arm gets an irreducible loss of its own."""
HOLDOUT_BUDGETS = 5
"""Budgets from which on a form is judged by how well it predicts the largest from the others."""
CURVE_POINTS = 33


@dataclass(frozen=True, kw_only=True)
class LabelledPoints(FrontierPoints):
    """Minima with what they may have a law in common by: the arm of a table has nothing else."""

    tokenizer: str
    objective: str
    """Label: name and options."""

    @property
    def may_share_irreducible_loss(self) -> bool:
        """Whether its loss can approach the same value as that of other such arms: a table does not say."""
        return False


@dataclass(frozen=True, kw_only=True)
class Arm(LabelledPoints, ArmTraits):
    """An arm and the minima of its cells that are in the frontier, by rising compute."""

    vocab_size: int
    tight_likelihood: bool
    """Whether the scored likelihood is exact or a bound that a perfect model attains."""

    @property
    def may_share_irreducible_loss(self) -> bool:
        """Whether its loss can approach the entropy of the text as written, which is the same for all such arms."""
        return self.permutation == "identity" and self.tight_likelihood


TwoArms = tuple[Arm, Arm]
"""The arms of an overhead: the byte arm, and the arm that it is compared with."""


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
    lack_of_fit: float | None = None
    """Chi-square / dof about the form; the noise of its draws is multiplied by the root where it is above 1."""

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
            lack_of_fit=self.lack_of_fit,
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
        run_KP = np.array([fitted.ln_bpb_run_K for fitted in kept]).T
        arms.append(
            Arm(
                name=name,
                tokenizer=row.tokenizer,
                is_bytes=row.tokenizer_kind == "bytes",
                vocab_size=row.vocab_size,
                objective=row.objective_label,
                permutation=row.permutation_label,
                model=row.model_label,
                architecture=row.model,
                tight_likelihood=row.tight_likelihood,
                ln_flops_P=np.log([fitted.flops for fitted in kept]),
                ln_bpb_KP=ln_bpb_KP,
                ln_bpb_sd_P=run_KP[1:].std(axis=0) if kept else np.empty(0),
                ln_bpb_run_KP=run_KP,
                runs=tuple(fitted.runs for fitted in kept if fitted.runs),
            )
        )
    return arms


def fit_frontiers(arms: Sequence[Arm], *, parametric: bool = True) -> tuple[list[FittedFrontier], list[str]]:
    """(the frontier of each arm in each form that its budgets allow, warnings); `parametric`: also in that form."""
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
    for arm in able if parametric else []:
        if law := fit_parametric_law(arm.runs):
            frontiers.append(_fitted(arm, "parametric", law))
    return frontiers, warnings


def preferred_form(arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> Form:
    """The form whose estimates are headlined for these arms.

    If every arm has at least five budgets, the form that best predicts their largest budgets from the others. Else the
    shared irreducible loss where it was fitted (a power law is its special case E = 0), else the power law. The
    parametric form is never preferred: it fits all sizes of a budget, and so describes the best ones less closely.
    """
    forms: dict[Form, list[FittedFrontier]] = {}
    for frontier in frontiers:
        if any(frontier.arm is arm for arm in arms):
            forms.setdefault(frontier.form, []).append(frontier)
    errors: dict[Form, list[float]] = {
        form: [frontier.holdout_error for frontier in fitted if frontier.holdout_error is not None]
        for form, fitted in forms.items()
        if len(fitted) == len(arms) and form != "parametric"
    }
    if errors and all(len(found) == len(arms) for found in errors.values()):
        return min(errors, key=lambda form: sum(error**2 for error in errors[form]))
    return "shared irreducible loss" if "shared irreducible loss" in errors else "power law"


def _dof(arms: Sequence[Arm]) -> int:
    """Degrees of freedom of one line per arm and one irreducible loss for all."""
    return sum(arm.budgets - 2 for arm in arms) - 1


def _fit(arms: Sequence[Arm], form: Form) -> list[FittedFrontier]:
    """Frontiers through the minima: one irreducible loss for all `arms`, 0 for a power law, and one line per arm."""
    fit_E = form != "power law"
    errors: list[float | None] = [None] * len(arms)
    if all(arm.budgets >= HOLDOUT_BUDGETS for arm in arms):
        errors = [*holdout_errors(arms, fit_E=fit_E)]
    return [
        _fitted(arm, form, law, error)
        for arm, law, error in zip(arms, fit_frontier_laws(arms, fit_E=fit_E), errors, strict=True)
    ]


def _fitted(arm: Arm, form: Form, law: FrontierLaw, holdout_error: float | None = None) -> FittedFrontier:
    constants = law.irreducible_loss_K, law.amplitude_K, law.exponent_K
    return FittedFrontier(arm, form, *constants, holdout_error, law.lack_of_fit)
