"""The conclusions in English: the overhead of bytes under AR, under MDM, and whether the second is larger.

For permuted text: the overhead under AR and MDM, and whether it is larger than without permutation.

A number is stated only where it was estimated, a bound only as a bound, each with the widest interval of all forms of
the frontier. "Not identified at this scale" is a conclusion too, for an arm that does not learn context at its largest
budget, or for frontiers that were observed at no common loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit.estimands import TwoArms, byte_pairs, pairs_over_ar, pairs_over_identity
from bytegap.fit.frontiers import Arm
from bytegap.scaling.bootstrap import Interval
from bytegap.schema.fit import Cell, Estimand

NOT_IDENTIFIED = "Not identified at this scale"
_TITLES = {"ar": "AR", "mdm": "MDM"}


@dataclass(frozen=True)
class Evidence:
    """What the conclusions are drawn from."""

    arms: Sequence[Arm]
    cells: Sequence[Cell]
    estimands: Sequence[Estimand]
    margin: float | None = None
    """A ratio of compute, set in advance, within which costs count as equivalent. Equivalence is two one-sided tests at
    5 % (Schuirmann 1987): the widest 90 % interval of any form lies within the margin on both sides."""


def verdict(evidence: Evidence) -> tuple[bool, list[str]]:
    """(whether the interaction of MDM over AR is identified, the conclusions).

    The first three conclusions are about text without permutation: overhead under AR, under MDM, interaction.
    """
    unpermuted = [arm for arm in evidence.arms if arm.permutation == "identity"]
    sentences: list[str] = []
    for objective, title in _TITLES.items():
        pairs = [pair for pair in byte_pairs(unpermuted) if pair[0].objective == objective]
        clauses = [_overhead(title, pair, evidence) for pair in pairs]
        no_pair = f"The overhead of bytes under {title} is not estimated: no byte arm has a matching subword arm"
        sentences.append(_join(clauses, f"the overhead of bytes over {{}} under {title}", no_pair))
    clauses = [
        _interaction(_Comparison(pair, base, "under MDM", "under AR"), evidence)
        for pair, base in pairs_over_ar(unpermuted)
        if pair[0].objective == "mdm"
    ]
    no_pair = "The interaction of MDM over AR is not estimated: it needs byte and subword arms under both"
    larger = "whether the overhead of bytes over {} is larger under MDM than under AR"
    sentences.append(_join(clauses, larger, no_pair))
    sentences += _permuted(evidence)
    return bool(clauses) and all(isinstance(clause, str) for clause in clauses), sentences


def _permuted(evidence: Evidence) -> list[str]:
    """The overhead with each permutation, and whether it is larger than without; what is not identified comes last."""
    sentences: list[str] = []
    not_identified: dict[str, list[str]] = {}
    for pair in byte_pairs(evidence.arms):
        objective, permutation = _TITLES.get(pair[0].objective), pair[0].permutation
        if objective is None or permutation == "identity":
            continue
        title = f"{objective} with permutation {permutation}"
        overhead = _overhead(title, pair, evidence)
        if isinstance(overhead, _NotIdentified):
            not_identified.setdefault(overhead.other, []).append(title)
            continue
        clauses = [
            _interaction(_Comparison(pair, base, f"under {title}", "without permutation"), evidence)
            for permuted, base in pairs_over_identity(evidence.arms)
            if _names(permuted) == _names(pair)
        ]
        larger = f"whether the overhead of bytes over {{}} is larger under {title} than without permutation"
        sentences += [f"{overhead}.", *([_join(clauses, larger, "")] if clauses else [])]
    return sentences + [
        f"{NOT_IDENTIFIED}: the overhead of bytes over {other} under {_listed(titles)} (see the notes of their cells)."
        for other, titles in not_identified.items()
    ]


@dataclass(frozen=True)
class _Comparison:
    """Two pairs of arms whose overheads are compared, and what to call the conditions of each."""

    pair: TwoArms
    base: TwoArms
    condition: str
    base_condition: str


@dataclass(frozen=True)
class _NotIdentified:
    """A conclusion that cannot be drawn: over which tokenizer, why, and the bound that is known all the same."""

    other: str
    why: str
    bound: str = ""


def _join(clauses: Sequence[str | _NotIdentified], about: str, no_clause: str) -> str:
    """One sentence: what is identified, then what is not, each reason once.

    `about` names what is not identified, with {} for the tokenizers.
    """
    parts = [clause for clause in clauses if isinstance(clause, str)]
    rest = [clause for clause in clauses if not isinstance(clause, str)]
    for why, bound in dict.fromkeys((each.why, each.bound) for each in rest):
        others = [each.other for each in rest if (each.why, each.bound) == (why, bound)]
        parts.append(f"{NOT_IDENTIFIED}: {about.replace('{}', _listed(others))}, because {why}{bound}")
    return "; ".join(parts or [no_clause]) + "."


def _names(arms: Sequence[Arm]) -> tuple[str, ...]:
    return tuple(arm.name for arm in arms)


def _listed(things: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(things[:-1]), things[-1]]))


@dataclass(frozen=True)
class _Headline:
    """A headline and the widest interval that any form of the frontier gives it."""

    row: Estimand
    value: float
    ci95: Interval | None
    ci90: Interval | None
    forms: int

    @property
    def estimated(self) -> bool:
        return self.row.label == "estimated" and self.ci95 is not None

    @property
    def interval(self) -> str:
        assert self.ci95 is not None
        widest = f", the widest of {self.forms} forms of the frontier" if self.forms > 1 else ""
        return f"95 % interval {self.ci95[0]:.3g} to {self.ci95[1]:.3g}{widest}"

    def equivalence(self, margin: float | None) -> str:
        """The clause that states equivalence within the margin; empty where it was not shown."""
        if margin is None or self.ci90 is None:
            return ""
        low, high = self.ci90 if self.row.name == "interaction" else np.log(self.ci90).tolist()
        within = max(-low, high) <= np.log(margin)
        return f", equivalent within a factor of {margin:g}, the margin set in advance" if within else ""

    @property
    def bound(self) -> tuple[str, float] | None:
        """(words, the end of the interval that claims least) of a censored headline; None where it claims nothing."""
        if self.row.label != "censored" or self.ci95 is None:
            return None
        low, high = self.ci95
        if self.row.bound == ">":
            trivial = 0.0 if self.row.name == "interaction" else 1.0
            return ("more than", low) if low > trivial else None
        return ("less than", high) if self.row.name == "overhead" or high < 0 else None


def _headline(arms: Sequence[Arm], estimands: Sequence[Estimand]) -> _Headline | None:
    """The headline of exactly these arms."""
    rows = [row for row in estimands if row.arms == _names(arms)]
    for row in rows:
        if row.headline and row.quantity.value is not None:
            key = (row.name, row.at_bpb, row.at_flops, row.label)
            same = [each for each in rows if (each.name, each.at_bpb, each.at_flops, each.label) == key]
            ci95, ci90 = _widest([each.quantity.ci95 for each in same]), _widest([each.ci90 for each in same])
            return _Headline(row, row.quantity.value, ci95, ci90, len(same))
    return None


def _widest(intervals: Sequence[Interval | None]) -> Interval | None:
    """The interval that covers all; None where one is missing."""
    known = [each for each in intervals if each is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known and known == intervals else None


def _obstacle(arms: Sequence[Arm], cells: Sequence[Cell]) -> str | None:
    """Why nothing can be concluded about these arms whatever the estimates are; None where nothing prevents it."""
    for arm in arms:
        of_arm = [cell for cell in cells if cell.arm == arm.name]
        if not of_arm:
            return f"{arm.name} has no finished run"
        largest = max(of_arm, key=lambda cell: cell.budget_flops)
        if not largest.learns_context:
            return f"{arm.name} at its largest budget is {largest.note.rpartition('; ')[2]}"
        if not arm.budgets:
            return f"{arm.name} has no budget whose minimum is bracketed"
    return None


def _overhead(title: str, pair: TwoArms, evidence: Evidence) -> str | _NotIdentified:
    other = f"{pair[1].tokenizer} (V = {pair[1].vocab_size})"
    headline, obstacle = _headline(pair, evidence.estimands), _obstacle(pair, evidence.cells)
    at = f"at {headline.row.at_bpb:.2f} BPB" if headline else ""
    if headline and headline.estimated and not obstacle:
        need = f"Under {title} bytes need {headline.value:.3g} times the compute of {other} {at}"
        return f"{need} ({headline.interval}){headline.equivalence(evidence.margin)}"
    if headline and headline.bound and not obstacle:
        side, end = headline.bound
        need = f"Under {title} bytes need {side} {end:.3g} times the compute of {other} {at}"
        return f"{need}, a bound, because the two arms were observed at no common loss"
    return _NotIdentified(other, obstacle or "the two arms were observed at no common loss")


def _interaction(compared: _Comparison, evidence: Evidence) -> str | _NotIdentified:
    arms = [*compared.pair, *compared.base]
    other = f"{compared.pair[1].tokenizer} (V = {compared.pair[1].vocab_size})"
    headline, obstacle = _headline(arms, evidence.estimands), _obstacle(arms, evidence.cells)
    if headline and headline.estimated and not obstacle:
        assert headline.ci95 is not None
        low, high = headline.ci95
        conclusion = "which is more" if low > 0 else "which is less" if high < 0 else "not distinguishable from 1"
        return (
            f"At {headline.row.at_bpb:.2f} BPB the overhead of bytes over {other} {compared.condition} is "
            f"{np.exp(headline.value):.3g} times that {compared.base_condition}, {conclusion} "
            f"(interaction {headline.value:.3g} in natural log, {headline.interval})"
            f"{headline.equivalence(evidence.margin)}"
        )
    why = obstacle or "the four arms were observed at no common loss"
    bound = ""
    if headline and headline.bound:
        side, end = headline.bound
        bound = (
            f"; the runs show only that the overhead {compared.condition} is {side} {np.exp(end):.3g} times that "
            f"{compared.base_condition} at {headline.row.at_bpb:.2f} BPB"
        )
    return _NotIdentified(other, why, bound)
