"""Fits a table of runs, a study's or any other: Chinchilla law, IsoFLOP minima, frontier, and warnings.

Budgets are the table's own column, or clusters of compute: values less than 5 % apart that together span at most 10 %.
A longer chain of values is no budget, because the runs were not planned by compute.

Suffixes: R = rows, K = point estimate and draws, P = budgets.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.errors import FitError, counted
from bytegap.fit import diagnostics
from bytegap.fit.frontiers import HOLDOUT_BUDGETS, LEAST_BUDGETS, LabelledPoints
from bytegap.fit.nested import separate_laws
from bytegap.fit.read_table import LEAST_ROWS, TableRow
from bytegap.fit.table_pairs import ComparedArms, check_pairs, compared_arms, table_pairs
from bytegap.fit.table_schema import ArmsFit, Budget, Chinchilla, Exponents, LossFrontier, Optimal, TableFit
from bytegap.scaling import laws
from bytegap.scaling.bootstrap import quantity
from bytegap.scaling.chinchilla import FittedLaw, fit_law
from bytegap.scaling.frontier import fit_frontier_laws, holdout_errors
from bytegap.scaling.isoflop import ArmRuns, Minimum, fit_minima
from bytegap.scaling.laws import Array
from bytegap.scaling.regression import weighted_line
from bytegap.scaling.window import LEAST_SIZES
from bytegap.schema.base import FrozenDict, Quantity
from bytegap.schema.fit import Cell
from bytegap.schema.frontier import SeparateLaws
from bytegap.study.config import TwoNames

BOOTSTRAPS = 4000
NEIGHBOUR_RATIO = 1.05
SPAN_RATIO = 1.10
ASSUMED_PASSES = 1000
"""A table does not say how its standard errors were estimated: they are taken as known."""


@dataclass(frozen=True)
class FittedArm:
    """An arm of a table: its fit, and what comparisons and figures need besides."""

    fit: TableFit
    points: LabelledPoints
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class FittedTable:
    """A table of runs, fitted."""

    fit: TableFit | ArmsFit
    arms: tuple[FittedArm, ...]
    compared: ComparedArms
    """The arms in the pairs that were named, if any."""


def fit_table(
    rows: Sequence[TableRow],
    bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
    drop_worst: int = 0,
    pairs: Sequence[TwoNames] = (),
) -> FittedTable:
    """Fit the rows of each arm, test whether several arms need separate laws, and compare the named `pairs` of them.

    Intervals come from `bootstraps` draws; the `drop_worst` rows of largest residual in a first fit are left out.
    FitError where an arm has too few rows.
    """
    by_arm: dict[str, list[TableRow]] = defaultdict(list)
    for row in rows:
        by_arm[row.arm].append(row)
    check_pairs(pairs, list(by_arm))
    for name, own in by_arm.items():
        _check(f"arm '{name}'" if name else "the table", len(own), drop_worst)
    found = {
        name: _fit_arm(name, own, bootstraps, np.random.default_rng((seed, index)), drop_worst)
        for index, (name, own) in enumerate(by_arm.items())
    }
    arms = tuple(found.values())
    if len(arms) == 1:
        (only,) = arms
        fit = only.fit.model_copy(update={"warnings": (diagnostics.ASSUMED_UNITS, *only.fit.warnings)})
        return FittedTable(fit, arms, compared_arms([only.points], ()))
    points = [arm.points for arm in arms]
    tested = separate_laws(points, share_irreducible_loss=True)
    compared = compared_arms(points, pairs)
    compared_pairs, interactions = table_pairs(compared, pairs)
    fit = ArmsFit(
        arms=FrozenDict({name: arm.fit for name, arm in found.items()}),
        separate_laws=tested,
        warnings=(diagnostics.ASSUMED_UNITS, *_about_test(tested)),
        pairs=compared_pairs,
        interactions=interactions,
    )
    return FittedTable(fit, arms, compared)


def _about_test(tested: SeparateLaws | None) -> list[str]:
    if tested is None:
        return [f"no_nested_test: separate laws need two arms of {LEAST_BUDGETS} bracketed budgets each"]
    if tested.form == "shared irreducible loss":
        assumption = "separate_laws assumes that the arms have one irreducible loss, as on the same text in one unit"
        return [f"assumed_shared_irreducible_loss: {assumption}"]
    return []


def _check(who: str, rows: int, drop_worst: int) -> None:
    if rows - drop_worst < LEAST_ROWS:
        less = f" less {drop_worst} to drop" if drop_worst else ""
        raise FitError(
            f"{who} has {counted(rows, 'row')}{less}: the law's five parameters need at least {LEAST_ROWS}, add runs"
        )


def _fit_arm(
    name: str, rows: Sequence[TableRow], bootstraps: int, rng: np.random.Generator, drop_worst: int
) -> FittedArm:
    warnings: list[str] = []
    if drop_worst:
        rows, dropped = _without_worst(rows, drop_worst, rng)
        left_out = f"{diagnostics.name_rows(dropped)}, of largest residual in a first fit, left out"
        warnings.append(f"dropped_rows: {left_out}")
    not_identified = diagnostics.not_identified(rows)
    law = _law(rows, 0 if not_identified else bootstraps, rng)
    warnings += diagnostics.row_warnings(rows) + not_identified
    warnings += diagnostics.outliers(rows, law.residual_R) + _about_law(law)
    cells, about_budgets = _cells(rows)
    warnings += about_budgets
    minima = fit_minima([_arm_runs(cells)], [("", "")], bootstraps, rng).minima[0] if cells else []
    kept = sorted((each for each in minima if each.bracketed), key=lambda each: each.flops)
    arm = _points(name, rows[0], kept)
    fit = TableFit(
        chinchilla=_chinchilla(law, len(rows)),
        optimal=Optimal(
            N_exponent=quantity(law.size_exponent_K),
            D_exponent=quantity(1 - law.size_exponent_K),
            isoflop=_exponents(kept) if len(kept) >= LEAST_BUDGETS else None,
        ),
        isoflop=tuple(_budget(*each) for each in zip(cells, minima, strict=True)),
        frontier=_frontier(arm, law, rows, identified=not not_identified),
        warnings=tuple(warnings),
    )
    return FittedArm(fit, arm, tuple(_cell(name, *each) for each in zip(cells, minima, strict=True)))


def _law(rows: Sequence[TableRow], bootstraps: int, rng: np.random.Generator) -> FittedLaw:
    params_R, tokens_R, loss_R = np.array([(row.params, row.tokens, row.loss) for row in rows]).T
    return fit_law(params_R, tokens_R, loss_R, bootstraps, rng)


def _chinchilla(law: FittedLaw, rows: int) -> Chinchilla:
    return Chinchilla(
        E=quantity(law.E_K),
        A=quantity(law.A_K),
        B=quantity(law.B_K),
        alpha=quantity(law.alpha_K),
        beta=quantity(law.beta_K),
        objective=law.objective,
        rows=rows,
    )


def _without_worst(rows: Sequence[TableRow], count: int, rng: np.random.Generator) -> tuple[list[TableRow], list[int]]:
    """(rows without the `count` of largest residual in a first fit, numbers of those)."""
    residual_R = np.abs(_law(rows, 0, rng).residual_R).tolist()
    by_residual = sorted(range(len(rows)), key=lambda index: residual_R[index])
    worst = {rows[index].row for index in by_residual[len(rows) - count :]}
    return [row for row in rows if row.row not in worst], sorted(worst)


def _about_law(law: FittedLaw) -> list[str]:
    found: list[str] = []
    if not law.has_irreducible_loss:
        found.append(
            "no_irreducible_loss: the best E is 0, so the table does not show a loss that more compute cannot go below"
        )
    if min(law.alpha_K[0], law.beta_K[0]) <= 0:
        found.append(
            "implausible_exponents: alpha or beta is not above 0, as if more parameters or tokens did not help"
        )
    return found


def _cells(rows: Sequence[TableRow]) -> tuple[list[list[TableRow]], list[str]]:
    """(rows of each budget, by rising compute; warnings)."""
    if rows[0].budget is not None:
        groups: dict[float, list[TableRow]] = defaultdict(list)
        for row in rows:
            assert row.budget is not None
            groups[row.budget].append(row)
        return [groups[budget] for budget in sorted(groups)], []
    chains: list[list[TableRow]] = []
    for row in sorted(rows, key=lambda row: row.flops):
        if chains and row.flops < NEIGHBOUR_RATIO * chains[-1][-1].flops:
            chains[-1].append(row)
        else:
            chains.append([row])
    cells = [
        chain
        for chain in chains
        if chain[-1].flops <= SPAN_RATIO * chain[0].flops and len({row.params for row in chain}) >= LEAST_SIZES
    ]
    if not cells:
        return [], [f"no_budgets: no {LEAST_SIZES} sizes cost about the same, so there are no IsoFLOP minima"]
    in_none = len(rows) - sum(map(len, cells))
    others = f"; {in_none} rows are in none" if in_none else ""
    return cells, [
        f"inferred_budgets: {len(cells)} budgets were inferred from flops{others}; a column 'budget' names them"
    ]


def _arm_runs(cells: Sequence[Sequence[TableRow]]) -> ArmRuns:
    """The rows of all cells as arrays; each row has a seed of its own."""
    rows = [row for cell in cells for row in cell]
    columns = [(row.params, row.tokens, row.flops, row.loss, row.loss_se) for row in rows]
    params_R, tokens_R, flops_R, loss_R, loss_se_R = np.array(columns, dtype=np.float64).T
    return ArmRuns(
        cell_R=np.repeat(np.arange(len(cells)), [len(cell) for cell in cells]),
        parameters_R=params_R,
        tokens_R=tokens_R,
        flops_R=flops_R,
        loss_R=loss_R,
        loss_se_R=loss_se_R,
        passes_R=np.full(len(rows), ASSUMED_PASSES),
        seed_R=np.full(len(rows), -1),
    )


def _budget(cell: Sequence[TableRow], minimum: Minimum) -> Budget:
    return Budget(
        budget=cell[0].budget or minimum.flops,
        flops=minimum.flops,
        runs=len(cell),
        optimum_params=minimum.parameters,
        optimum_tokens=minimum.tokens,
        optimum_loss=minimum.loss,
        curvature=minimum.curvature,
        bracketed=minimum.bracketed,
        note=minimum.note,
    )


def _cell(name: str, rows: Sequence[TableRow], minimum: Minimum) -> Cell:
    """The budget as a cell of a study, for figures."""
    return Cell(
        arm=name,
        budget_flops=rows[0].budget or minimum.flops,
        runs=tuple(f"row {row.row}" for row in rows),
        parameters=tuple(round(row.params) for row in rows),
        tokens=tuple(round(row.tokens) for row in rows),
        bpb=tuple(row.loss for row in rows),
        bpb_se=tuple(row.loss_se for row in rows),
        optimum_parameters=minimum.parameters,
        optimum_tokens=minimum.tokens,
        optimum_bpb=minimum.loss,
        curvature=minimum.curvature,
        bracketed=minimum.bracketed,
        learns_context=True,
        in_frontier=minimum.bracketed,
        note=minimum.note,
        curve=minimum.curve,
    )


def _points(name: str, row: TableRow, kept: Sequence[Minimum]) -> LabelledPoints:
    """The minima by rising compute."""
    ln_loss_KP = np.array([each.ln_loss_K for each in kept]).T
    return LabelledPoints(
        name=name,
        tokenizer=row.tokenizer,
        objective=row.objective,
        ln_flops_P=np.log([each.flops for each in kept]),
        ln_bpb_KP=ln_loss_KP,
        ln_bpb_sd_P=ln_loss_KP[1:].std(axis=0) if kept else np.empty(0),
    )


def _exponents(kept: Sequence[Minimum]) -> Exponents:
    """Exponents of power laws through the minima's N and D, each budget weighted by its own variance."""
    ln_flops_P = np.log([each.flops for each in kept])

    def exponent(ln_optimum_KP: Array) -> Quantity:
        weight_P = np.maximum(ln_optimum_KP[1:].std(axis=0), 1e-9) ** -2
        y_K1P = ln_optimum_KP[:, None, :]
        return quantity(weighted_line(ln_flops_P, y_K1P, np.broadcast_to(weight_P, y_K1P.shape))[1][:, 0])

    return Exponents(
        N_exponent=exponent(np.array([each.ln_size_K for each in kept]).T),
        D_exponent=exponent(np.array([each.ln_tokens_K for each in kept]).T),
    )


def _frontier(
    arm: LabelledPoints, law: FittedLaw, rows: Sequence[TableRow], *, identified: bool
) -> LossFrontier | None:
    """Through the minima if at least five budgets can show an irreducible loss; else the law's own; else a power law.

    None where the law is not identified and there are fewer than two minima.
    """
    if identified and arm.budgets < HOLDOUT_BUDGETS:
        with np.errstate(all="ignore"):
            E_K, amplitude_K, exponent_K = laws.chinchilla_frontier(
                law.E_K, (law.A_K, law.B_K), (law.alpha_K, law.beta_K)
            )
        flops = [row.flops for row in rows]
        return LossFrontier(
            form="own irreducible loss",
            irreducible_loss=quantity(np.asarray(E_K)),
            amplitude=quantity(np.asarray(amplitude_K)),
            exponent=quantity(np.asarray(exponent_K)),
            flops_observed=(min(flops), max(flops)),
            source="chinchilla law",
        )
    if arm.budgets < LEAST_BUDGETS:
        return None
    has_E = arm.budgets >= HOLDOUT_BUDGETS and holdout_errors([arm], fit_E=True) < holdout_errors([arm], fit_E=False)
    (frontier,) = fit_frontier_laws([arm], fit_E=has_E)
    return LossFrontier(
        form="own irreducible loss" if has_E else "power law",
        irreducible_loss=quantity(frontier.irreducible_loss_K),
        amplitude=quantity(frontier.amplitude_K),
        exponent=quantity(frontier.exponent_K),
        flops_observed=arm.flops_observed,
        source="isoflop minima",
    )
