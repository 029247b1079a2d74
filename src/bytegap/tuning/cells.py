"""The cells that a command names, by budget and arm: for the tuning audit and for probes. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose

from bytegap.errors import CommandError, nearest
from bytegap.schema.plan import Plan


@dataclass(frozen=True)
class NamedCells:
    """The cells that a command names."""

    at: tuple[float, ...] = ()
    """Budgets in FLOPs; none: all of an arm's."""
    arms: tuple[str, ...] = ()
    """Names of arms; none: every arm, or every arm that has a budget of `at`."""


def ends_by_arm(plan: Plan, named: NamedCells) -> dict[str, tuple[float, ...]]:
    """As `budgets_by_arm`; where no budget is named, each arm's smallest and largest."""
    return {arm: tuple(dict.fromkeys((own[0], own[-1]))) for arm, own in budgets_by_arm(plan, named).items()}


def budgets_by_arm(plan: Plan, named: NamedCells) -> dict[str, tuple[float, ...]]:
    """The named budgets of each arm, ascending; all where none is named.

    CommandError where the plan has no such arm, or a named arm has none of the budgets. An arm that is not named and
    has none is left out.
    """
    budgets: dict[str, list[float]] = {}
    for arm in dict.fromkeys(run.arm for run in plan.runs):
        budgets[arm] = sorted({run.budget_flops for run in plan.runs if run.arm == arm})
    for arm in named.arms:
        if arm not in budgets:
            raise CommandError(
                f"--arm {arm}: the plan of study '{plan.study}' has no such arm: {nearest(arm, budgets)}"
            )
    chosen = {arm: own for arm, own in budgets.items() if not named.arms or arm in named.arms}
    if not named.at:
        return {arm: tuple(own) for arm, own in chosen.items()}
    at = {arm: tuple(each for each in own if _is_any(each, named.at)) for arm, own in chosen.items()}
    lacking = [arm for arm in chosen if not at[arm]]
    if lacking and (named.arms or len(lacking) == len(chosen)):
        listed = "; ".join(f"{arm} has {_listed(budgets[arm])}" for arm in lacking)
        raise CommandError(f"--at {_listed(named.at)}: not a budget of {' or '.join(lacking)}: {listed}")
    return {arm: own for arm, own in at.items() if own}


def _is_any(budget: float, named: Sequence[float]) -> bool:
    return any(isclose(budget, each, rel_tol=1e-9) for each in named)


def _listed(budgets: Sequence[float]) -> str:
    return ", ".join(f"{budget:g}" for budget in budgets)
