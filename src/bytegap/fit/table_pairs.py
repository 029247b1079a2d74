"""Arms of a table compared in pairs, as a study's are: overhead, gap, slope, parity; two pairs, their interaction.

A table does not say that its arms have one irreducible loss, so each frontier is a power law, or has an irreducible
loss of its own; intervals cover both forms where both were fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bytegap.errors import FitError, nearest
from bytegap.fit.claims import in_all_forms
from bytegap.fit.estimands import estimate
from bytegap.fit.frontiers import Arm, FittedFrontier, LabelledPoints, fit_frontiers, preferred_form
from bytegap.fit.table_schema import LabelledValue, TableInteraction, TablePair
from bytegap.schema.fit import Estimand, EstimandName
from bytegap.study.comparisons import Comparisons
from bytegap.study.config import TwoNames


def parse_pair(text: str) -> TwoNames:
    """`bytes=ARM,bpe=ARM` as the names of the two arms; FitError where it is not that."""
    found = _split(text, "bytes=", ",bpe=") or _split(text, "bpe=", ",bytes=", swap=True)
    if found is None or not all(found):
        raise FitError(f"--pair: '{text}' is not bytes=ARM,bpe=ARM: name two arms of the column 'arm'")
    if found[0] == found[1]:
        raise FitError(f"--pair: '{text}' names one arm twice: name the two that are compared")
    return found


def _split(text: str, begin: str, middle: str, *, swap: bool = False) -> TwoNames | None:
    if not text.startswith(begin) or middle not in text:
        return None
    one, _, other = text.removeprefix(begin).partition(middle)
    return (other.strip(), one.strip()) if swap else (one.strip(), other.strip())


def check_pairs(pairs: Sequence[TwoNames], arms: Sequence[str]) -> None:
    """FitError for a pair with an arm that the table does not have, or that is named twice."""
    for pair in pairs:
        if unknown := [name for name in pair if name not in arms]:
            known = nearest(unknown[0], filter(None, arms))
            raise FitError(f"--pair: the table has no arm '{unknown[0]}' in a column 'arm' ({known})")
    if len(set(pairs)) < len(pairs):
        raise FitError("--pair: a pair is named twice: name it once")


@dataclass(frozen=True)
class ComparedArms:
    """The arms of a table as a study's, their frontiers, all estimands of the pairs and of every two of them."""

    arms: list[Arm]
    frontiers: list[FittedFrontier]
    estimands: list[Estimand]


def compared_arms(points: Sequence[LabelledPoints], pairs: Sequence[TwoNames]) -> ComparedArms:
    """Compare arms in pairs; their minima have draws of equal number."""
    bytes_arms = {pair[0] for pair in pairs}
    arms = [_arm(each, is_bytes=each.name in bytes_arms) for each in points]
    frontiers, _ = fit_frontiers(arms)
    compared = Comparisons(tuple(pairs), tuple(combinations(pairs, 2)))
    return ComparedArms(arms, frontiers, estimate(arms, frontiers, compared))


def table_pairs(
    compared: ComparedArms, pairs: Sequence[TwoNames]
) -> tuple[tuple[TablePair, ...], tuple[TableInteraction, ...]]:
    """(each pair, each two pairs), as printed."""
    frontiers, estimands = compared.frontiers, compared.estimands
    by_name = {arm.name: arm for arm in compared.arms}

    def own(names: tuple[str, ...]) -> list[Estimand]:
        form = preferred_form([by_name[name] for name in names], frontiers)
        return [row for row in estimands if row.arms == names and row.form in {form, "minima"}]

    def values(names: tuple[str, ...], name: EstimandName, *, at_loss: bool) -> tuple[LabelledValue, ...]:
        of_arms = [row for row in estimands if row.arms == names]
        rows = [row for row in own(names) if row.name == name and (row.at_flops is None or not at_loss)]
        return tuple(_value(row, of_arms) for row in rows if row.quantity.value is not None)

    found = [
        TablePair(
            bytes=pair[0],
            bpe=pair[1],
            overhead=values(pair, "overhead", at_loss=True),
            gap=values(pair, "gap", at_loss=False),
            slope=next(iter(values(pair, "slope", at_loss=False)), None),
            parity=next(iter(values(pair, "parity", at_loss=False)), None),
            note=_note([by_name[name] for name in pair]),
        )
        for pair in pairs
    ]
    both = [
        TableInteraction(first=one, second=other, values=values((*one, *other), "interaction", at_loss=True))
        for one, other in combinations(pairs, 2)
    ]
    return tuple(found), tuple(both)


def _arm(points: LabelledPoints, *, is_bytes: bool) -> Arm:
    """A table's arm as a study's, about whose text and likelihood nothing is known."""
    return Arm(
        **vars(points),
        is_bytes=is_bytes,
        permutation="",
        model="",
        architecture="",
        vocab_size=0,
        tight_likelihood=False,
    )


def _value(row: Estimand, of_arms: Sequence[Estimand]) -> LabelledValue:
    stated = in_all_forms(row, of_arms)
    return LabelledValue(
        at_loss=row.at_bpb,
        at_flops=row.at_flops,
        value=stated.value,
        ci95=stated.ci95,
        label=row.label,
        bound=row.bound,
        headline=row.headline,
    )


def _note(arms: Sequence[Arm]) -> str:
    """Why a pair lacks an estimate; empty where both arms have a frontier."""
    few = [f"{arm.name} has {arm.budgets} budgets with a bracketed minimum" for arm in arms if arm.budgets < 2]
    return f"{' and '.join(few)}, and a frontier needs two" if few else ""
