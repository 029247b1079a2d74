"""A table's rows to its answers: Chinchilla law, IsoFLOP minima, frontier, and what to be warned of.

Budgets are the table's own column, or clusters of compute: values less than 5 % apart that together
span at most 10 %. A longer chain is no budget: the runs were not laid out by compute.

Suffixes: R = rows, K = point estimate and draws, P = budgets.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bytegap import laws
from bytegap.errors import FitError
from bytegap.fit import oddities
from bytegap.fit.chinchilla import FittedLaw, fit_law
from bytegap.fit.draws import quantity
from bytegap.fit.frontiers import LEAST_BUDGETS, OWN_FLOOR_BUDGETS, Arm, fit_frontiers, preferred_form, weighted_line
from bytegap.fit.minima import LEAST_SIZES, Minimum, fit_minima
from bytegap.fit.nested import separate_laws
from bytegap.fit.parabola import Run
from bytegap.fit.table import LEAST_ROWS, Row
from bytegap.fit.table_records import ArmsFit, Budget, Chinchilla, Exponents, LossFrontier, Optimal, TableFit
from bytegap.laws import Array
from bytegap.records import Quantity

BOOTSTRAPS = 4000
APART = 1.05
SPAN = 1.10


def fit_table(
    rows: Sequence[Row], bootstraps: int = BOOTSTRAPS, seed: int = 0, drop_worst: int = 0
) -> TableFit | ArmsFit:
    """Everything the rows say, arm by arm where they name more than one; FitError where an arm has too few rows."""
    of_arm: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_arm[row.arm].append(row)
    for name, own in of_arm.items():
        _check(f"arm '{name}'" if name else "the table", len(own), drop_worst)
    found = {
        name: _fit_arm(name, own, bootstraps, np.random.default_rng((seed, index)), drop_worst)
        for index, (name, own) in enumerate(of_arm.items())
    }
    if len(found) == 1:
        return next(iter(found.values()))[0]
    tested = separate_laws([arm for _, arm in found.values()], share_floor=True)
    warnings = [oddities.ASSUMED_UNITS]
    if tested is None:
        warnings.append(f"no_nested_test: separate laws take two arms of {LEAST_BUDGETS} bracketed budgets each")
    elif tested.form == "shared floor":
        warnings.append(
            "assumed_floor: separate_laws takes the arms to have one floor, as on the same text in one unit"
        )
    return ArmsFit(arms={name: fit for name, (fit, _) in found.items()}, separate_laws=tested, warnings=warnings)


def _check(who: str, rows: int, drop_worst: int) -> None:
    if rows - drop_worst < LEAST_ROWS:
        less = f" less {drop_worst} to drop" if drop_worst else ""
        message = f"{who} has {rows} rows{less}: the law's five parameters take at least {LEAST_ROWS}, add runs"
        raise FitError(message)


def _fit_arm(
    name: str, rows: Sequence[Row], bootstraps: int, rng: np.random.Generator, drop_worst: int
) -> tuple[TableFit, Arm]:
    warnings = [oddities.ASSUMED_UNITS]
    if drop_worst:
        rows, dropped = _without_worst(rows, drop_worst, rng)
        warnings.append(f"dropped_rows: {oddities.name_rows(dropped)}, of largest residual in a first fit, left out")
    unknown = oddities.not_identified(rows)
    law = _law(rows, 0 if unknown else bootstraps, rng)
    warnings += [*oddities.of_rows(rows), *unknown, *oddities.outliers(rows, law.residual_R), *_about(law)]
    cells, about_budgets = _cells(rows)
    warnings += about_budgets
    minima, _ = fit_minima([[_run(row) for row in cell] for cell in cells], bootstraps, rng)
    kept = sorted((each for each in minima if each.bracketed), key=lambda each: each.flops)
    arm = _arm(name, rows[0], kept)
    fit = TableFit(
        chinchilla=Chinchilla(
            E=quantity(law.E_K),
            A=quantity(law.A_K),
            B=quantity(law.B_K),
            alpha=quantity(law.alpha_K),
            beta=quantity(law.beta_K),
            objective=law.objective,
            rows=len(rows),
        ),
        optimal=Optimal(
            N_exponent=quantity(law.size_exponent_K),
            D_exponent=quantity(1 - law.size_exponent_K),
            isoflop=_exponents(kept) if len(kept) >= LEAST_BUDGETS else None,
        ),
        isoflop=[_budget(*each) for each in zip(cells, minima, strict=True)],
        frontier=_frontier(arm, law, rows, identified=not unknown),
        warnings=warnings,
    )
    return fit, arm


def _law(rows: Sequence[Row], bootstraps: int, rng: np.random.Generator) -> FittedLaw:
    params_R, tokens_R, loss_R = np.array([(row.params, row.tokens, row.loss) for row in rows]).T
    return fit_law(params_R, tokens_R, loss_R, bootstraps, rng)


def _without_worst(rows: Sequence[Row], count: int, rng: np.random.Generator) -> tuple[list[Row], list[int]]:
    """(rows that stay, numbers of the `count` that lie farthest from a first fit)."""
    far_R = np.abs(_law(rows, 0, rng).residual_R).tolist()
    by_distance = sorted(range(len(rows)), key=lambda at: far_R[at])
    worst = {rows[at].row for at in by_distance[len(rows) - count :]}
    return [row for row in rows if row.row not in worst], sorted(worst)


def _about(law: FittedLaw) -> list[str]:
    found: list[str] = []
    if not law.has_floor:
        found.append("no_floor: the best E is 0, so nothing here shows a loss that more compute will not get below")
    if min(law.alpha_K[0], law.beta_K[0]) <= 0:
        found.append(
            "implausible_exponents: alpha or beta is not above 0, as if more parameters or tokens did not help"
        )
    return found


def _cells(rows: Sequence[Row]) -> tuple[list[list[Row]], list[str]]:
    """(rows of each budget, by rising compute; warnings)."""
    if rows[0].budget is not None:
        groups: dict[float, list[Row]] = defaultdict(list)
        for row in rows:
            assert row.budget is not None
            groups[row.budget].append(row)
        return [groups[budget] for budget in sorted(groups)], []
    chains: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: row.flops):
        if chains and row.flops < APART * chains[-1][-1].flops:
            chains[-1].append(row)
        else:
            chains.append([row])
    cells = [
        chain
        for chain in chains
        if chain[-1].flops <= SPAN * chain[0].flops and len({row.params for row in chain}) >= LEAST_SIZES
    ]
    if not cells:
        return [], [f"no_budgets: no {LEAST_SIZES} sizes cost about the same, so there are no IsoFLOP minima"]
    alone = len(rows) - sum(map(len, cells))
    others = f"; {alone} rows are in none" if alone else ""
    return cells, [
        f"inferred_budgets: {len(cells)} budgets were inferred from flops{others}; a column 'budget' names them"
    ]


def _run(row: Row) -> Run:
    return Run(row.params, row.tokens, row.flops, row.loss, row.loss_se)


def _budget(cell: Sequence[Row], minimum: Minimum) -> Budget:
    return Budget(
        budget=cell[0].budget or minimum.flops,
        flops=minimum.flops,
        runs=len(cell),
        optimum_params=minimum.parameters,
        optimum_tokens=minimum.symbols,
        optimum_loss=minimum.loss,
        curvature=minimum.curvature,
        bracketed=minimum.bracketed,
        note=minimum.note,
    )


def _arm(name: str, row: Row, kept: Sequence[Minimum]) -> Arm:
    """The minima as `frontiers` and `nested` take them."""
    ln_loss_KP = np.array([each.ln_loss_K for each in kept]).T
    return Arm(
        name=name,
        tokens=row.symbol_set,
        is_bytes=False,
        vocabulary=0,
        objective=row.objective,
        order="",
        model="",
        ln_flops_P=np.log([each.flops for each in kept]),
        ln_bpb_KP=ln_loss_KP,
        ln_bpb_deviation_P=ln_loss_KP[1:].std(axis=0) if kept else np.empty(0),
    )


def _exponents(kept: Sequence[Minimum]) -> Exponents:
    """Of power laws through the minima's sizes and data, each budget weighed by its own deviation."""
    ln_flops_P = np.log([each.flops for each in kept])

    def exponent(ln_optimum_KP: Array) -> Quantity:
        weight_P = np.maximum(ln_optimum_KP[1:].std(axis=0), 1e-9) ** -2
        y_K1P = ln_optimum_KP[:, None, :]
        return quantity(weighted_line(ln_flops_P, y_K1P, np.broadcast_to(weight_P, y_K1P.shape))[1][:, 0])

    return Exponents(
        N_exponent=exponent(np.array([each.ln_size_K for each in kept]).T),
        D_exponent=exponent(np.array([each.ln_symbols_K for each in kept]).T),
    )


def _frontier(arm: Arm, law: FittedLaw, rows: Sequence[Row], *, identified: bool) -> LossFrontier | None:
    """Through the minima from five budgets on, which can show a floor; else the law's own; else without a floor."""
    if identified and arm.budgets < OWN_FLOOR_BUDGETS:
        with np.errstate(all="ignore"):
            floor_K, amplitude_K, exponent_K = laws.chinchilla_frontier(
                law.E_K, (law.A_K, law.B_K), (law.alpha_K, law.beta_K)
            )
        flops = [row.flops for row in rows]
        return LossFrontier(
            form="own floor",
            floor=quantity(np.asarray(floor_K)),
            amplitude=quantity(np.asarray(amplitude_K)),
            exponent=quantity(np.asarray(exponent_K)),
            flops_observed=(min(flops), max(flops)),
            source="chinchilla law",
        )
    if arm.budgets < LEAST_BUDGETS:
        return None
    curves, _ = fit_frontiers([arm])
    form = preferred_form([arm], curves)
    (curve,) = [curve for curve in curves if curve.form == form]
    return LossFrontier(
        form="own floor" if form == "own floor" else "no floor",
        floor=quantity(curve.floor_K),
        amplitude=quantity(curve.amplitude_K),
        exponent=quantity(curve.exponent_K),
        flops_observed=arm.flops_observed,
        source="isoflop minima",
    )
