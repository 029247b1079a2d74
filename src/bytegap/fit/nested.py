"""Are separate laws needed? Whether arms share an exponent g of ln(L - E) = ln A - g ln C: a nested test.

Each arm keeps its own A; g is shared by all, by the arms of one objective, by those of one symbol
set, or by none. A model's chi-square is over the cells' own deviations; it is held against the
per-arm model's by a parametric bootstrap: the nested law itself, each time with the departures of
one draw of the cells, is fitted both ways. Draws carry how well the noise is known, so few degrees
of freedom widen the test as F does. E is one floor for all arms, found anew in every fit, or none.

Suffixes: K = point estimate and draws, P = budgets of an arm, G = grid of floors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bytegap.fit.frontiers import LEAST_BUDGETS, Arm, best_floor
from bytegap.laws import Array
from bytegap.records import NestedModel, SeparateLaws, SharedBy

LEVEL = 0.05
MOST_DRAWS = 1000
FLOOR_ROUNDS = 3


def separate_laws(arms: Sequence[Arm], *, share_floor: bool | None = None) -> SeparateLaws | None:
    """The nested test over arms that have a frontier; None where there are fewer than two.

    `share_floor` None leaves it to whether all the arms' bounds can be tight on the same text.
    """
    able = [_few_draws(arm) for arm in arms if arm.budgets >= LEAST_BUDGETS]
    if len(able) < 2:
        return None
    points = sum(arm.budgets for arm in able)
    if share_floor is None:
        share_floor = all(arm.can_be_tight for arm in able)
    floored = share_floor and points > 2 * len(able) + 1
    models: list[NestedModel] = []
    for shared_by, groups in _models(able):
        found = _fit(able, groups, floored=floored)
        models.append(
            NestedModel(
                shared_by=shared_by,
                exponents=len(set(groups)),
                chi_square=float(found.chi_square_K[0]),
                freedom=points - len(able) - len(set(groups)) - floored,
                floor_bpb=float(found.floor_K[0]),
                p_value=None if shared_by == "arm" else _p_value(able, groups, found, floored=floored),
            )
        )
    kept = [model for model in models if model.p_value is None or model.p_value >= LEVEL]
    simplest = min(kept, key=lambda model: (model.exponents, -(model.p_value or 0.0)))
    return SeparateLaws(
        form="shared floor" if floored else "no floor",
        arms=[arm.name for arm in able],
        models=models,
        simplest=simplest.shared_by,
    )


def _few_draws(arm: Arm) -> Arm:
    return replace(arm, ln_bpb_KP=arm.ln_bpb_KP[: 1 + MOST_DRAWS])


def _models(arms: Sequence[Arm]) -> list[tuple[SharedBy, list[str]]]:
    """(whose arms share an exponent, each arm's group), from one exponent to one an arm; no grouping twice."""
    names = [arm.name for arm in arms]
    asked: list[tuple[SharedBy, list[str]]] = [
        ("all", ["" for _ in arms]),
        ("objective", [arm.objective for arm in arms]),
        ("symbol set", [arm.tokens for arm in arms]),
    ]
    seen = {_partition(names)}
    models: list[tuple[SharedBy, list[str]]] = []
    for shared_by, groups in asked:
        if _partition(groups) not in seen:
            seen.add(_partition(groups))
            models.append((shared_by, groups))
    return [*models, ("arm", names)]


def _partition(groups: Sequence[str]) -> tuple[int, ...]:
    return tuple(groups.index(group) for group in groups)


@dataclass(frozen=True)
class _Fitted:
    """A model at its best floor, with each arm's law at the point estimate."""

    chi_square_K: Array
    floor_K: Array
    ln_bpb_P: list[Array]
    """One array an arm."""


def _fit(arms: Sequence[Arm], groups: Sequence[str], *, floored: bool) -> _Fitted:
    """Least chi-square; given E, a common slope is the pooled one of the arms about their own means."""

    def chi_square(floor_KG: Array) -> Array:
        sums = [_sums(arm, floor_KG) for arm in arms]
        explained_KG = [_pooled(sums, groups, group)[1] for group in dict.fromkeys(groups)]
        return np.sum([each.yy_KG for each in sums], axis=0) - np.sum(explained_KG, axis=0)

    lowest_K = np.exp(np.min([arm.ln_bpb_KP.min(axis=1) for arm in arms], axis=0))
    floor_K = best_floor(chi_square, lowest_K, FLOOR_ROUNDS) if floored else np.zeros_like(lowest_K)
    sums = [_sums(arm, floor_K[:1, None]) for arm in arms]
    laws_P: list[Array] = []
    for arm, own, group in zip(arms, sums, groups, strict=True):
        slope = float(_pooled(sums, groups, group)[0][0, 0])
        above_P = np.exp(own.y_KG[0, 0] + slope * (arm.ln_flops_P - own.x_KG[0, 0]))
        laws_P.append(np.log(floor_K[0] + above_P))
    return _Fitted(chi_square(floor_K[:, None])[:, 0], floor_K, laws_P)


@dataclass(frozen=True)
class _Sums:
    """Weighted means of x = ln C and y = ln(L - E), and sums of squares about them, each (K, G)."""

    x_KG: Array
    y_KG: Array
    xx_KG: Array
    xy_KG: Array
    yy_KG: Array


def _sums(arm: Arm, floor_KG: Array) -> _Sums:
    """With the weights of `frontiers`: an error of ln L is L / (L - E) times as large in ln(L - E)."""
    bpb_K1P = np.exp(arm.ln_bpb_KP[: len(floor_KG)])[:, None, :]
    above_KGP = bpb_K1P - floor_KG[:, :, None]
    y_KGP = np.log(above_KGP)
    weight_KGP = (above_KGP / bpb_K1P / np.maximum(arm.ln_bpb_deviation_P, 1e-9)) ** 2
    total_KG = weight_KGP.sum(axis=2)
    x_KG = (weight_KGP * arm.ln_flops_P).sum(axis=2) / total_KG
    y_KG = (weight_KGP * y_KGP).sum(axis=2) / total_KG
    x_KGP, y_KGP = arm.ln_flops_P - x_KG[:, :, None], y_KGP - y_KG[:, :, None]
    return _Sums(
        x_KG,
        y_KG,
        (weight_KGP * x_KGP**2).sum(axis=2),
        (weight_KGP * x_KGP * y_KGP).sum(axis=2),
        (weight_KGP * y_KGP**2).sum(axis=2),
    )


def _pooled(sums: Sequence[_Sums], groups: Sequence[str], group: str) -> tuple[Array, Array]:
    """(slope of a group's arms, what it takes off their sum of squares), each (K, G)."""
    of_group = [each for each, name in zip(sums, groups, strict=True) if name == group]
    xx_KG = np.sum([each.xx_KG for each in of_group], axis=0)
    xy_KG = np.sum([each.xy_KG for each in of_group], axis=0)
    return xy_KG / xx_KG, xy_KG**2 / xx_KG


def _p_value(arms: Sequence[Arm], groups: Sequence[str], found: _Fitted, *, floored: bool) -> float:
    """Share of simulated studies, true to the model, whose chi-square gains as much from an exponent an arm."""
    simulated = [
        replace(arm, ln_bpb_KP=np.vstack([arm.ln_bpb_KP[:1], law_P + arm.ln_bpb_KP[1:] - arm.ln_bpb_KP[0]]))
        for arm, law_P in zip(arms, found.ln_bpb_P, strict=True)
    ]
    names = [arm.name for arm in arms]
    gain_K = (
        _fit(simulated, groups, floored=floored).chi_square_K - _fit(simulated, names, floored=floored).chi_square_K
    )
    return float((1 + np.sum(gain_K[1:] >= gain_K[0])) / len(gain_K))
