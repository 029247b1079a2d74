"""Nested test of whether arms need separate exponents g of ln(L - E) = ln A - g ln C.

Each arm has its own A; g is shared by all arms, by the arms of one objective, by those of one tokenizer, or by none. A
model's chi-square is measured in the cells' own deviations and compared with that of the model of one exponent per arm.
The p-value is a parametric bootstrap: the nested law with the deviations of one draw of the cells is fitted in both
models. Draws include the uncertainty of the noise estimate, so few degrees of freedom widen the test as in an F test.
E is one irreducible loss for all arms, estimated in every fit, or 0.

Suffixes: K = point estimate and draws, P = budgets of an arm, G = grid of irreducible losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bytegap.fit.frontiers import LEAST_BUDGETS, LabelledPoints
from bytegap.scaling.frontier import LEAST_SD
from bytegap.scaling.laws import Array
from bytegap.scaling.regression import profile_irreducible_loss
from bytegap.schema.frontier import NestedModel, SeparateLaws, SharedBy

LEVEL = 0.05
MOST_DRAWS = 1000
PROFILE_ROUNDS = 3


def separate_laws(arms: Sequence[LabelledPoints], *, share_irreducible_loss: bool | None = None) -> SeparateLaws | None:
    """Test the arms that have a frontier; None where there are fewer than two.

    `share_irreducible_loss`: whether E is fitted; None: only if all the arms may share an irreducible loss.
    """
    able = [_few_draws(arm) for arm in arms if arm.budgets >= LEAST_BUDGETS]
    if len(able) < 2:
        return None
    points = sum(arm.budgets for arm in able)
    if share_irreducible_loss is None:
        share_irreducible_loss = all(arm.may_share_irreducible_loss for arm in able)
    fit_E = share_irreducible_loss and points > 2 * len(able) + 1
    models: list[NestedModel] = []
    for shared_by, groups in _models(able):
        found = _fit(able, groups, fit_E=fit_E)
        models.append(
            NestedModel(
                shared_by=shared_by,
                exponents=len(set(groups)),
                chi_square=float(found.chi_square_K[0]),
                dof=points - len(able) - len(set(groups)) - fit_E,
                irreducible_loss_bpb=float(found.E_K[0]),
                p_value=None if shared_by == "arm" else _p_value(able, groups, found, fit_E=fit_E),
            )
        )
    kept = [model for model in models if model.p_value is None or model.p_value >= LEVEL]
    simplest = min(kept, key=lambda model: (model.exponents, -(model.p_value or 0.0)))
    return SeparateLaws(
        form="shared irreducible loss" if fit_E else "power law",
        arms=tuple(arm.name for arm in able),
        models=tuple(models),
        simplest=simplest.shared_by,
    )


def _few_draws(arm: LabelledPoints) -> LabelledPoints:
    """The arm with draws of the noise of runs alone, and fewer of them.

    Held-out documents move all minima of an arm alike, and so do not decide how far they lie from a line.
    """
    run_KP = arm.ln_bpb_KP if arm.ln_bpb_run_KP is None else arm.ln_bpb_run_KP
    return replace(arm, ln_bpb_KP=run_KP[: 1 + MOST_DRAWS], ln_bpb_run_KP=None)


def _models(arms: Sequence[LabelledPoints]) -> list[tuple[SharedBy, list[str]]]:
    """(what shares an exponent, each arm's group), from one exponent to one per arm; equal groupings once."""
    names = [arm.name for arm in arms]
    candidates: list[tuple[SharedBy, list[str]]] = [
        ("all", ["" for _ in arms]),
        ("objective", [arm.objective for arm in arms]),
        ("tokenizer", [arm.tokenizer for arm in arms]),
    ]
    seen = {_partition(names)}
    models: list[tuple[SharedBy, list[str]]] = []
    for shared_by, groups in candidates:
        if _partition(groups) not in seen:
            seen.add(_partition(groups))
            models.append((shared_by, groups))
    return [*models, ("arm", names)]


def _partition(groups: Sequence[str]) -> tuple[int, ...]:
    return tuple(groups.index(group) for group in groups)


@dataclass(frozen=True)
class _Fitted:
    """A model at its best E, with each arm's law at the point estimate."""

    chi_square_K: Array
    E_K: Array
    ln_bpb_P: list[Array]
    """One array per arm."""


def _fit(arms: Sequence[LabelledPoints], groups: Sequence[str], *, fit_E: bool) -> _Fitted:
    """Least chi-square of ln L over E."""

    def chi_square(E_KG: Array) -> Array:
        laws = zip(arms, _laws(arms, groups, E_KG), strict=True)
        return np.sum([(((arm.ln_bpb_KP[:, None] - law_KGP) / _sd(arm)) ** 2).sum(axis=2) for arm, law_KGP in laws], 0)

    lowest_K = np.exp(np.min([arm.ln_bpb_KP.min(axis=1) for arm in arms], axis=0))
    E_K = profile_irreducible_loss(chi_square, lowest_K, PROFILE_ROUNDS) if fit_E else np.zeros_like(lowest_K)
    laws_P = [law_KGP[0, 0] for law_KGP in _laws(arms, groups, E_K[:, None])]
    return _Fitted(chi_square(E_K[:, None])[:, 0], E_K, laws_P)


def _laws(arms: Sequence[LabelledPoints], groups: Sequence[str], E_KG: Array) -> list[Array]:
    """The ln L of each arm, (K, G, P), at given E: lines of ln(L - E), with one slope for the arms of a group."""
    lines = [_line(arm, E_KG) for arm in arms]
    laws: list[Array] = []
    for arm, own, group in zip(arms, lines, groups, strict=True):
        of_group = [line for line, name in zip(lines, groups, strict=True) if name == group]
        slope_KG = np.sum([line.xy_KG for line in of_group], axis=0) / np.sum([line.xx_KG for line in of_group], axis=0)
        y_KGP = own.y_KG[:, :, None] + slope_KG[:, :, None] * (arm.ln_flops_P - own.x_KG[:, :, None])
        laws.append(np.log(E_KG[:, :, None] + np.exp(y_KGP)))
    return laws


@dataclass(frozen=True)
class _Line:
    """Weighted means of x = ln C and y = ln(L - E), and sums of products about them, each (K, G)."""

    x_KG: Array
    y_KG: Array
    xx_KG: Array
    xy_KG: Array


def _line(arm: LabelledPoints, E_KG: Array) -> _Line:
    """With the weights of `scaling/frontier.py`: an error of ln L is L / (L - E) times as large in ln(L - E)."""
    bpb_K1P = np.exp(arm.ln_bpb_KP)[:, None, :]
    reducible_KGP = bpb_K1P - E_KG[:, :, None]
    y_KGP = np.log(reducible_KGP)
    weight_KGP = (reducible_KGP / bpb_K1P / _sd(arm)) ** 2
    total_KG = weight_KGP.sum(axis=2)
    x_KG = (weight_KGP * arm.ln_flops_P).sum(axis=2) / total_KG
    y_KG = (weight_KGP * y_KGP).sum(axis=2) / total_KG
    x_KGP, y_KGP = arm.ln_flops_P - x_KG[:, :, None], y_KGP - y_KG[:, :, None]
    return _Line(x_KG, y_KG, (weight_KGP * x_KGP**2).sum(axis=2), (weight_KGP * x_KGP * y_KGP).sum(axis=2))


def _sd(arm: LabelledPoints) -> Array:
    return np.maximum(arm.ln_bpb_sd_P, LEAST_SD)


def _p_value(arms: Sequence[LabelledPoints], groups: Sequence[str], found: _Fitted, *, fit_E: bool) -> float:
    """Share of studies simulated under the model in which one exponent per arm gains at least as much chi-square."""
    simulated = [
        replace(arm, ln_bpb_KP=np.vstack([arm.ln_bpb_KP[:1], law_P + arm.ln_bpb_KP[1:] - arm.ln_bpb_KP[0]]))
        for arm, law_P in zip(arms, found.ln_bpb_P, strict=True)
    ]
    names = [arm.name for arm in arms]
    gain_K = _fit(simulated, groups, fit_E=fit_E).chi_square_K - _fit(simulated, names, fit_E=fit_E).chi_square_K
    return float((1 + np.sum(gain_K[1:] >= gain_K[0])) / len(gain_K))
