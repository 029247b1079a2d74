"""How much of an overhead a variant closes: 1 - ln k_v(L) / ln k(L), at equal loss.

k is the overhead of the plain arm, such as byte-MDM over BPE-MDM, and k_v that of the variant over the same arm, or
over its own counterpart. 1 is all of it, 0 none, and above 1 the variant needs less compute than what it is compared
with. Numerator and denominator are from the same draws, so that what they share cancels.

It is evaluated at the middle of the losses that all arms were observed at; where there are none, at the middle of those
of the plain pair, where the variant's overhead may be a bound.

Suffix: K = point estimate and draws.
"""

from collections.abc import Sequence

import numpy as np

from bytegap.fit.censoring import OPPOSITE, Side, bpb_of_same_models
from bytegap.fit.estimand_builder import overlap
from bytegap.fit.estimands import pair_in_form
from bytegap.fit.frontiers import Arm, FittedFrontier, TwoArms, preferred_form
from bytegap.scaling.bootstrap import covering, interval, quantity
from bytegap.scaling.laws import Array
from bytegap.schema.fit import GapClosed
from bytegap.schema.frontier import Form
from bytegap.study.config import TwoNames


def gaps_closed(
    named: Sequence[tuple[TwoNames, TwoNames]], arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]
) -> list[GapClosed]:
    """What each pair closes of the overhead of the pair after it, arms by name."""
    return [_at_middle(pair, base, arms, frontiers) for pair, base in named]


def again(found: GapClosed, arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> GapClosed:
    """The same from other frontiers, at the same loss."""
    if found.at_bpb is None:
        return found
    one, own, plain, reference = found.arms
    return _at((one, own), (plain, reference), found.at_bpb, arms, frontiers)


def _at_middle(pair: TwoNames, base: TwoNames, arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]) -> GapClosed:
    by_name = {arm.name: arm for arm in arms if arm.budgets}
    ranges = {name: by_name[name].bpb_observed for name in (*pair, *base) if name in by_name}
    if len(ranges) < len({*pair, *base}):
        return GapClosed(arms=(*pair, *base))
    common = overlap(list(ranges.values())) or overlap([ranges[name] for name in base])
    if common is None:
        return GapClosed(arms=(*pair, *base))
    return _at(pair, base, float(np.mean(common)), arms, frontiers)


def _at(
    pair: TwoNames, base: TwoNames, bpb: float, arms: Sequence[Arm], frontiers: Sequence[FittedFrontier]
) -> GapClosed:
    found = GapClosed(arms=(*pair, *base), at_bpb=bpb)
    by_name = {arm.name: arm for arm in arms if arm.budgets}
    if not {*pair, *base} <= by_name.keys():
        return found
    own = [by_name[name] for name in dict.fromkeys((*pair, *base))]
    bpb_K = bpb_of_same_models(own, bpb)
    variant, plain = ((by_name[one], by_name[other]) for one, other in (pair, base))
    forms: list[Form] = list(dict.fromkeys(frontier.form for frontier in frontiers))
    of_form = {form: share for form in forms if (share := _closed(variant, plain, bpb_K, form, frontiers))}
    form = preferred_form(own, frontiers)
    if form not in of_form:
        return found
    closed_K, ln_K, plain_ln_K, side = of_form[form]
    if not plain_ln_K[0] > 0:
        return found  # without an overhead there is nothing to close
    ends = [interval(each[0][1:]) for each in of_form.values() if each[3] == side]
    return found.model_copy(
        update={
            "form": form,
            "forms": len(ends),
            "ln_overhead": quantity(ln_K),
            "plain_ln_overhead": quantity(plain_ln_K),
            "closed": quantity(closed_K),
            "ci95": covering(ends),
            "bound": side,
        }
    )


def _closed(
    variant: TwoArms, base: TwoArms, bpb_K: Array, form: Form, frontiers: Sequence[FittedFrontier]
) -> tuple[Array, Array, Array, Side] | None:
    """(share closed, ln k_v, ln k, side of a bound) in one form; None where it is not known there."""
    own = pair_in_form(variant, form, frontiers).ln_overhead(bpb_K)
    plain = pair_in_form(base, form, frontiers).ln_overhead(bpb_K)
    if own is None or plain is None or plain.side:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        # A draw without an overhead has no share of it.
        closed_K = np.where(plain.ln_K > 0, 1 - own.ln_K / plain.ln_K, np.nan)
    return closed_K, own.ln_K, plain.ln_K, OPPOSITE[own.side]
