"""Where budgets and sizes go, given rough laws of the arms and the seconds that there are.

Arms that are compared must be observed at common losses: the fit gives nothing else.
So a placement is a band of losses: every arm's budgets reach from the band's upper to its lower end, with a margin.
Among the bands that fit into the seconds the one is chosen of which the comparisons are expected to be most precise.
Pure functions on arrays.

Suffixes: K = draws of the laws, the estimate first; B = budgets that may be chosen; J = sizes; P = budgets chosen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from bytegap.plan.outlook import Bools, Outlook
from bytegap.scaling.laws import Array

COMMON_BPB = 0.15
"""Losses that all compared arms must share."""
LARGEST_RATIO = 4.0
"""Between neighbouring budgets of an arm."""
LEAST_BUDGETS = 4
"""Of an arm, where the hours allow it: a frontier with an irreducible loss of its own needs as many."""
FEWEST_BUDGETS = 3
"""Of an arm where they do not."""
_ALLOWED = 0.8
"""Share of the precision of `FEWEST_BUDGETS` that `LEAST_BUDGETS` must keep: then the hours allow these."""
_FORM_SD = 0.15
"""Deviation of ln k and of I that no budgets remove: form of the frontier, held-out documents (assumption)."""
_PAIR_WEIGHT = 0.25
"""Of an overhead, relative to an interaction, in the choice of a placement."""
_LEAST_GAIN = 1.01
"""Of a change of budgets, in precision."""
_UPPER_STEPS_BPB = (0.0, 0.15, 0.35)
_WIDTHS_BPB = (0.2, 0.3, 0.4, 0.5, 0.65, 0.85, 1.1, 1.4)
_BUDGETS, _MARGINS = (3, 4, 5), (0.5, 1.5)


Comparison = tuple[int, ...]
"""Indices of arms: (byte, other), or of an interaction (byte, other, byte of the base, other of the base)."""


@dataclass(frozen=True)
class Placement:
    """Budgets of every arm, and what they are expected to show."""

    budgets: tuple[tuple[int, ...], ...]
    """Of each arm, as indices of its `flops_B`; none where it is left out."""
    seconds: float
    identified: tuple[float, ...]
    """Share of the draws in which each comparison is estimated."""
    sd: tuple[float, ...]
    """Median standard deviation of each, of ln k or of I, where it is estimated; NaN where it never is."""
    common_bpb: tuple[float, ...]
    """Median width of the losses that its arms share."""
    precision: float
    """What placements are compared by."""


def best_placement(outlooks: Sequence[Outlook], comparisons: Sequence[Comparison], seconds: float) -> Placement:
    """The most precise placement within these worker seconds: all arms in one band, or each pair in a band of its own.

    The second serves hours that do not suffice for all arms: the cheapest pairs come first, and what no seconds are
    left for gets no budget.
    """
    fewest = _best_of(outlooks, comparisons, seconds, FEWEST_BUDGETS)
    if all(len(own) >= LEAST_BUDGETS for own in fewest.budgets if own):
        return fewest
    enough = _best_of(outlooks, comparisons, seconds, LEAST_BUDGETS)
    return enough if enough.precision >= _ALLOWED * fewest.precision else fewest


def _best_of(outlooks: Sequence[Outlook], comparisons: Sequence[Comparison], seconds: float, least: int) -> Placement:
    """The most precise placement with at least so many budgets of every arm that has any."""
    arms = sorted({arm for comparison in comparisons for arm in comparison} or range(len(outlooks)))
    together = _best_band(outlooks, comparisons, arms, Limit(seconds, least))
    apart = _one_by_one(outlooks, comparisons, Limit(seconds, least))
    found = [
        assessed(outlooks, comparisons, tuple(budgets.get(arm, ()) for arm in range(len(outlooks))))
        for budgets in (together, apart)
        if budgets is not None
    ]
    return max(found, key=lambda placement: placement.precision)


Budgets = dict[int, tuple[int, ...]]
"""Chosen budgets by arm, as indices of `flops_B`."""


@dataclass(frozen=True)
class Limit:
    """What budgets may take, and how many an arm must have."""

    seconds: float
    """Of all workers."""
    budgets: int


def _one_by_one(outlooks: Sequence[Outlook], comparisons: Sequence[Comparison], limit: Limit) -> Budgets:
    """Pairs by themselves, the cheapest first, then single arms, each with an equal share of what is left."""
    pairs = sorted({comparison for comparison in comparisons if len(comparison) == 2})
    pairs.sort(key=lambda pair: _least_seconds(outlooks, pair, limit.budgets))
    chosen: Budgets = {}
    for pair in pairs:
        left = limit.seconds - sum(_seconds(outlooks[arm], own) for arm, own in chosen.items())
        new = [arm for arm in pair if arm not in chosen]
        if found := _best_band(outlooks, [pair], new, Limit(left, limit.budgets)):
            chosen |= found
    for arm, own in enumerate(outlooks):
        if arm not in chosen:
            left = limit.seconds - sum(_seconds(outlooks[other], budgets) for other, budgets in chosen.items())
            chosen[arm] = _furthest(own, left / sum(other not in chosen for other in range(len(outlooks))))
    return chosen


def _furthest(own: Outlook, seconds: float) -> tuple[int, ...]:
    """Budgets as far apart as allowed, up to the largest that the seconds pay for; fewer where they do not for four.

    They show where an arm is that is compared with none: its losses bound those of the others.
    """
    most = _largest_shift(own)
    for count in range(LEAST_BUDGETS, 0, -1):
        for last in range(len(own.flops_B) - 1, (count - 1) * most - 1, -1):
            budgets = tuple(range(last - (count - 1) * most, last + 1, most))
            if all(own.sizings[index] for index in budgets) and _seconds(own, budgets) <= seconds:
                return budgets
    return ()


def _least_seconds(outlooks: Sequence[Outlook], arms: Sequence[int], least: int) -> float:
    """Of the cheapest budgets of these arms that reach a common band; infinite where none do."""
    found = _candidates(outlooks, arms, least)
    return min((sum(_seconds(outlooks[arm], own) for arm, own in each.items()) for each in found), default=np.inf)


def _best_band(
    outlooks: Sequence[Outlook], comparisons: Sequence[Comparison], arms: Sequence[int], limit: Limit
) -> Budgets | None:
    """The most precise budgets of some arms; None where nothing fits, or nothing that fits is likely to show anything.

    Arms that a comparison has and that are not among `arms` do not count here.
    """
    best, best_precision = None, 0.0
    for budgets in _candidates(outlooks, arms, limit.budgets):
        precision = _precision(outlooks, comparisons, budgets, limit.seconds)
        if precision > best_precision:
            best, best_precision = budgets, precision
    while best is not None:
        moves = [budgets for arm in arms for budgets in _moves(outlooks[arm], arm, best, limit.budgets)]
        gains = [_precision(outlooks, comparisons, budgets, limit.seconds) for budgets in moves]
        if not gains or max(gains) <= _LEAST_GAIN * best_precision:
            break
        best, best_precision = moves[int(np.argmax(gains))], max(gains)
    return best


def _precision(
    outlooks: Sequence[Outlook], comparisons: Sequence[Comparison], budgets: Budgets, seconds: float
) -> float:
    """Of these budgets; 0 where they take more than the seconds."""
    if sum(_seconds(outlooks[arm], own) for arm, own in budgets.items()) > seconds:
        return 0.0
    return sum(each.precision for each in _compared(outlooks, comparisons, budgets))


def _moves(own: Outlook, arm: int, budgets: Budgets, least: int) -> Iterator[Budgets]:
    """The same budgets with one of an arm's added below, above or between, or moved at an end, or left out."""
    chosen, most = budgets[arm], _largest_shift(own)
    for shift in (most, most // 2, 1):
        yield from (
            {**budgets, arm: tuple(sorted(changed))}
            for changed in (
                {*chosen, chosen[0] - shift},
                {*chosen, chosen[-1] + shift},
                {*chosen[:-1], chosen[-1] - shift},
                {*chosen[1:], chosen[0] + shift},
                {*chosen[:-1], chosen[-1] + shift},
                {*chosen[1:], chosen[0] - shift},
            )
            if _is_allowed(own, changed, most, least)
        )
    for left_out in chosen[1:-1]:
        changed = set(chosen) - {left_out}
        if _is_allowed(own, changed, most, least):
            yield {**budgets, arm: tuple(sorted(changed))}


def _largest_shift(own: Outlook) -> int:
    """Of an index of `flops_B`, for a ratio of budgets that is allowed."""
    if len(own.flops_B) < 2:
        return 1
    return max(1, int(np.log(LARGEST_RATIO) / np.log(own.flops_B[-1] / own.flops_B[0]) * (len(own.flops_B) - 1)))


def _is_allowed(own: Outlook, budgets: set[int], most: int, least: int) -> bool:
    """Whether these are enough budgets, close enough to each other, each with its sizes."""
    ordered = sorted(budgets)
    return (
        len(ordered) >= least
        and ordered[0] >= 0
        and ordered[-1] < len(own.flops_B)
        and all(above - below <= most for below, above in pairwise(ordered))
        and all(own.sizings[index] is not None for index in ordered)
    )


def _candidates(outlooks: Sequence[Outlook], arms: Sequence[int], least: int) -> Iterator[Budgets]:
    """At least so many budgets of each of these arms for every band of losses that all of them can reach."""
    if not arms:
        return
    highest_bpb = min(outlooks[arm].highest_bpb for arm in arms)
    seen: set[tuple[tuple[int, ...], ...]] = set()
    counts = [count for count in _BUDGETS if count >= least]
    for down, width, count, margin in product(_UPPER_STEPS_BPB, _WIDTHS_BPB, counts, _MARGINS):
        upper = highest_bpb - down
        found = {arm: budgets_for_band(outlooks[arm], (upper - width, upper), count, margin) for arm in arms}
        key = tuple(found.values())
        if all(len(own) >= least for own in key) and key not in seen:
            seen.add(key)
            yield found


def budgets_for_band(arm: Outlook, band: tuple[float, float], least: int, margin: float) -> tuple[int, ...]:
    """Evenly spaced budgets whose losses reach from one end of the band to the other; () where there are none.

    Both ends are passed by `margin` deviations of the loss among draws, as far as the budgets go.
    """
    centre_B, sd_B = arm.bpb_KB[0], arm.bpb_sd_B
    able_B = np.isfinite(arm.ln_bpb_sd_B) & (centre_B <= arm.highest_bpb)
    reaches_upper_B = able_B & (centre_B - margin * sd_B >= band[1])
    reaches_lower_B = able_B & (centre_B + margin * sd_B <= band[0])
    if not able_B.any() or not reaches_lower_B.any():
        return ()
    last = int(np.flatnonzero(reaches_lower_B)[0])
    first = int(np.flatnonzero(reaches_upper_B)[-1]) if reaches_upper_B.any() else int(np.flatnonzero(able_B)[0])
    count = max(least, 1 + -(-(last - first) // _largest_shift(arm)))
    indices = np.unique(np.round(np.linspace(first, last, count)).astype(int))
    return tuple(indices.tolist()) if able_B[indices].all() else ()


def _seconds(arm: Outlook, budgets: Sequence[int]) -> float:
    return sum(each.seconds for index in budgets if (each := arm.sizings[index]) is not None)


def assessed(
    outlooks: Sequence[Outlook], comparisons: Sequence[Comparison], budgets: tuple[tuple[int, ...], ...]
) -> Placement:
    """What budgets are expected to show, by propagation of the errors of minima through straight frontiers."""
    found = _compared(outlooks, comparisons, dict(enumerate(budgets)))
    return Placement(
        budgets,
        sum(_seconds(arm, own) for arm, own in zip(outlooks, budgets, strict=True)),
        identified=tuple(float(each.identified_K.mean()) for each in found),
        sd=tuple(
            float(np.sqrt(np.median(each.variance_K[each.identified_K]))) if each.identified_K.any() else np.nan
            for each in found
        ),
        common_bpb=tuple(float(np.median(each.common_bpb_K)) for each in found),
        precision=sum(each.precision for each in found),
    )


@dataclass(frozen=True)
class _Compared:
    """One comparison under every draw."""

    identified_K: Bools
    variance_K: Array
    """Of ln k or of I."""
    common_bpb_K: Array
    """Width of the losses shared."""
    weight: float

    @property
    def precision(self) -> float:
        """Mean over draws; 0 where the comparison is not estimated."""
        return self.weight * float(np.mean(np.where(self.identified_K, 1 / (self.variance_K + _FORM_SD**2), 0.0)))


def _compared(outlooks: Sequence[Outlook], comparisons: Sequence[Comparison], budgets: Budgets) -> list[_Compared]:
    """Every comparison under every draw; one of an arm without budgets is not identified."""
    ranges = {arm: _observed(outlooks[arm], own) for arm, own in budgets.items() if own}
    found: list[_Compared] = []
    for comparison in comparisons:
        weight = _PAIR_WEIGHT if len(comparison) == 2 else 1.0
        if any(arm not in ranges for arm in comparison):
            nothing_K = np.zeros(len(outlooks[0].bpb_KB))
            found.append(_Compared(nothing_K > 0, nothing_K, nothing_K, weight))
            continue
        lower_K = np.max([ranges[arm][0] for arm in comparison], axis=0)
        upper_K = np.min([ranges[arm][1] for arm in comparison], axis=0)
        shares_K = upper_K - lower_K >= COMMON_BPB
        middle_K = np.where(shares_K, (lower_K + upper_K) / 2, np.nan)
        variance_K = np.sum([_ln_flops_variance(outlooks[arm], budgets[arm], middle_K) for arm in comparison], axis=0)
        common_K = np.maximum(0.0, upper_K - lower_K)
        found.append(_Compared(shares_K & np.isfinite(variance_K), variance_K, common_K, weight))
    return found


def _observed(arm: Outlook, budgets: Sequence[int]) -> tuple[Array, Array]:
    """(lowest, highest) loss of the usable budgets, each (K,); an empty range where there are none."""
    usable_KP, bpb_KP = arm.usable_KB[:, list(budgets)], arm.bpb_KB[:, list(budgets)]
    lowest_K = np.where(usable_KP, bpb_KP, np.inf).min(axis=1)
    highest_K = np.where(usable_KP, bpb_KP, -np.inf).max(axis=1)
    none_K = ~usable_KP.any(axis=1)
    return np.where(none_K, 1e9, lowest_K), np.where(none_K, -1e9, highest_K)


def _ln_flops_variance(arm: Outlook, budgets: Sequence[int], bpb_K: Array) -> Array:
    """Variance of ln C at a loss, (K,), from a straight line of ln L through the minima that are usable."""
    index = list(budgets)
    weight_KP = arm.usable_KB[:, index] / arm.ln_bpb_sd_B[index] ** 2
    ln_flops_P = np.log(arm.flops_B[index])
    total_K = weight_KP.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_K = weight_KP @ ln_flops_P / total_K
        spread_K = (weight_KP * (ln_flops_P - mean_K[:, None]) ** 2).sum(axis=1)
        distance_K = arm.law.ln_flops(bpb_K) - mean_K
        slope_K = arm.law.exponent_K * (bpb_K - arm.law.irreducible_loss_K) / bpb_K
        variance_K = (1 / total_K + distance_K**2 / spread_K) / slope_K**2
    return np.where(arm.usable_KB[:, index].sum(axis=1) >= 2, variance_K, np.nan)
