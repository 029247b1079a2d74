"""The headline estimates again, from other frontiers or other rows: at the same losses, in the same forms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit import interaction, overhead
from bytegap.fit.cells import LEARNS_CONTEXT_BPB, fit_cells
from bytegap.fit.estimand_builder import EstimandBuilder
from bytegap.fit.estimands import estimate, pair_in_form
from bytegap.fit.frontiers import Arm, FittedFrontier, arms_of, fit_frontiers
from bytegap.schema.fit import Estimand, Refit
from bytegap.schema.runs import RunRow
from bytegap.study.comparisons import Comparisons

BOOTSTRAPS = 200
"""At most: these intervals are shown next to those of the fit, which have more draws."""


@dataclass(frozen=True)
class DefaultFit:
    """The fit that others are compared with."""

    arms: Sequence[Arm]
    frontiers: Sequence[FittedFrontier]
    estimands: Sequence[Estimand]
    comparisons: Comparisons

    @property
    def cells_in_frontier(self) -> int:
        """Cells that are in any frontier."""
        return sum(arm.budgets for arm in self.arms)


def headlines_and_parities(estimands: Sequence[Estimand]) -> list[Estimand]:
    """Headlines, and the parities of the same arms in the same form."""
    headlines = [row for row in estimands if row.headline]
    compared = [(row.arms, row.form) for row in headlines]
    return headlines + [row for row in estimands if row.name == "parity" and (row.arms, row.form) in compared]


def in_all_forms(estimands: Sequence[Estimand], frontiers: Sequence[FittedFrontier]) -> list[Estimand]:
    """The same estimands in every form that one of their arms has a frontier in."""
    return [
        row.model_copy(update={"form": form})
        for row in estimands
        for form in dict.fromkeys(frontier.form for frontier in frontiers if frontier.arm.name in row.arms)
    ]


def estimate_again(
    estimands: Sequence[Estimand], arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]
) -> Iterator[Estimand]:
    """The same estimands by other frontiers; without those of an arm that has no budget in a frontier."""
    by_name = {arm.name: arm for arm in arms if arm.budgets}
    for row in estimands:
        if row.form == "minima" or not all(name in by_name for name in row.arms):
            continue
        builder = EstimandBuilder(row.objective, row.arms, row.form)
        byte, other, *base = (by_name[name] for name in row.arms)
        pair = pair_in_form((byte, other), row.form, frontiers)
        found = None
        if row.name == "parity":
            found = overhead.parity(builder, pair)
        elif row.name == "overhead" and row.at_bpb is not None:
            found = overhead.at_loss(builder, pair, row.at_bpb)
        elif row.name == "interaction" and row.at_bpb is not None:
            base_pair = pair_in_form((base[0], base[1]), row.form, frontiers)
            found = interaction.at_loss(builder, pair, base_pair, row.at_bpb)
        if found:
            yield found


def refit(
    rows: Sequence[RunRow], default: DefaultFit, bootstraps: int, seed: int, gate_bpb: float = LEARNS_CONTEXT_BPB
) -> Refit:
    """The headlines from these rows, with at most `BOOTSTRAPS` draws; FitError where the rows are too few.

    Arms whose headline is no estimate get their new headline as well, where it is one.
    """
    fewer = min(bootstraps, BOOTSTRAPS)
    arms = arms_of(rows, fit_cells(rows, fewer, np.random.default_rng(seed), gate_bpb).cells)
    frontiers, _ = fit_frontiers(arms)
    headlines = headlines_and_parities(default.estimands)
    found = list(estimate_again(headlines, arms, frontiers))
    known = {row.arms for row in headlines if row.headline and row.label == "estimated"}
    if any(names not in known for names in default.comparisons.names):
        again = estimate(arms, frontiers, default.comparisons)
        new = [row for row in again if row.headline and row.label == "estimated"]
        found += [row for row in new if row.arms not in known]
    return Refit(bootstraps=fewer, cells_in_frontier=sum(arm.budgets for arm in arms), estimands=tuple(found))
