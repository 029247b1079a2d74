"""The verdict: three sentences, what bytes cost under AR, under MDM, and whether the second is more than the first.

Of orders that were changed it has more: what bytes cost AR and MDM there, and whether that is more than in the text's.

A number is quoted only where it was estimated and a bound only as a bound, each as far as every
form of the frontier bears it out. "Not identified at this scale" is a verdict too: an arm whose
largest budget does not learn context, or frontiers that share no loss, leave nothing else to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit.draws import Interval
from bytegap.fit.estimands import ArmPair, pairs, pairs_over_ar, pairs_over_order
from bytegap.fit.frontiers import Arm
from bytegap.records import Cell, Estimand

NOT_IDENTIFIED = "Not identified at this scale"
_TITLES = {"ar": "AR", "mdm": "MDM"}


def verdict(
    arms: Sequence[Arm], cells: Sequence[Cell], estimands: Sequence[Estimand], margin: float | None = None
) -> tuple[bool, list[str]]:
    """(is the interaction of MDM over AR identified, three sentences on the text's order and what others add).

    `margin`, a ratio of compute named beforehand, is what equivalence is claimed against: two one-sided tests
    at 5 % (Schuirmann 1987), that is, the widest 90 % interval of any form within the margin to both sides.
    """
    natural = [arm for arm in arms if arm.order == "identity"]
    sentences: list[str] = []
    for objective, title in _TITLES.items():
        asked = [pair for pair in pairs(natural) if pair[0].objective == objective]
        clauses = [_cost(title, pair, cells, estimands, margin) for pair in asked]
        not_asked = f"What bytes cost under {title} was not asked: no byte arm there has another to stand beside"
        sentences.append(_together(clauses, f"what bytes cost under {title}", not_asked))
    clauses = [
        _interaction(_Question(pair, base, "MDM", "AR"), cells, estimands, margin)
        for pair, base in pairs_over_ar(natural)
        if pair[0].objective == "mdm"
    ]
    not_asked = "Whether bytes cost MDM more than AR was not asked: that takes pairs of arms under both"
    sentences.append(_together(clauses, "whether bytes cost MDM more than AR", not_asked))
    sentences += _of_orders(arms, cells, estimands, margin)
    return bool(clauses) and all(isinstance(clause, str) for clause in clauses), sentences


def _of_orders(
    arms: Sequence[Arm], cells: Sequence[Cell], estimands: Sequence[Estimand], margin: float | None
) -> list[str]:
    """What bytes cost in each changed order, whether that is more than in the text's; last, where it is not known."""
    sentences: list[str] = []
    unknown: dict[str, list[str]] = {}
    for pair in pairs(arms):
        under, order = _TITLES.get(pair[0].objective), pair[0].order
        if under is None or order == "identity":
            continue
        title = f"{under} in order {order}"
        cost = _cost(title, pair, cells, estimands, margin)
        if isinstance(cost, _Unknown):
            unknown.setdefault(cost.other, []).append(title)
            continue
        clauses = [
            _interaction(_Question(pair, base, title, f"{under} in the order of the text"), cells, estimands, margin)
            for changed, base in pairs_over_order(arms)
            if _names(changed) == _names(pair)
        ]
        more = _together(clauses, f"whether bytes cost more under {title} than in the order of the text", "")
        sentences += [f"{cost}.", *([more] if clauses else [])]
    return sentences + [
        f"{NOT_IDENTIFIED}: what bytes cost beside {other} under {_listed(titles)} (the notes of their cells say why)."
        for other, titles in unknown.items()
    ]


@dataclass(frozen=True)
class _Question:
    """Whether bytes cost more under one thing than under another."""

    pair: ArmPair
    base: ArmPair
    title: str
    base_title: str


@dataclass(frozen=True)
class _Unknown:
    """A question left open: beside which symbol set, and why; what is known all the same."""

    other: str
    why: str
    bound: str = ""


def _together(clauses: Sequence[str | _Unknown], what: str, not_asked: str) -> str:
    """One sentence: what is known, then what is not, once a reason."""
    said = [clause for clause in clauses if isinstance(clause, str)]
    open_ones = [clause for clause in clauses if not isinstance(clause, str)]
    for why, bound in dict.fromkeys((each.why, each.bound) for each in open_ones):
        others = [each.other for each in open_ones if (each.why, each.bound) == (why, bound)]
        said.append(f"{NOT_IDENTIFIED}: {what} beside {_listed(others)}, as {why}{bound}")
    return "; ".join(said or [not_asked]) + "."


def _names(arms: Sequence[Arm]) -> list[str]:
    return [arm.name for arm in arms]


def _listed(things: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(things[:-1]), things[-1]]))


@dataclass(frozen=True)
class _Lead:
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
    def spread(self) -> str:
        assert self.ci95 is not None
        widest = f", the widest of {self.forms} forms of the frontier" if self.forms > 1 else ""
        return f"95 % interval {self.ci95[0]:.3g} to {self.ci95[1]:.3g}{widest}"

    def equivalence(self, margin: float | None) -> str:
        """The clause that claims it, or nothing."""
        if margin is None or self.ci90 is None:
            return ""
        low, high = self.ci90 if self.row.name == "interaction" else np.log(self.ci90).tolist()
        within = max(-low, high) <= np.log(margin)
        return f", equivalent within a factor of {margin:g}, the margin named beforehand" if within else ""

    @property
    def bound(self) -> tuple[str, float] | None:
        """(words, the end of the interval that claims least) of a censored headline; None of an empty claim."""
        if self.row.label != "censored" or self.ci95 is None:
            return None
        low, high = self.ci95
        if self.row.bound == ">":
            no_news = 0.0 if self.row.name == "interaction" else 1.0
            return ("more than", low) if low > no_news else None
        return ("less than", high) if self.row.name == "overhead" or high < 0 else None


def _lead(arms: Sequence[Arm], estimands: Sequence[Estimand]) -> _Lead | None:
    """The headline about exactly these arms."""
    rows = [row for row in estimands if row.arms == _names(arms)]
    for lead in rows:
        if lead.headline and lead.quantity.value is not None:
            place = (lead.name, lead.at_bpb, lead.at_flops, lead.label)
            same = [r for r in rows if (r.name, r.at_bpb, r.at_flops, r.label) == place]
            ci95, ci90 = _widest([row.quantity.ci95 for row in same]), _widest([row.ci90 for row in same])
            return _Lead(lead, lead.quantity.value, ci95, ci90, len(same))
    return None


def _widest(ends: Sequence[Interval | None]) -> Interval | None:
    """What covers all intervals; None where one has no end."""
    known = [end for end in ends if end is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known and known == ends else None


def _trouble(arms: Sequence[Arm], cells: Sequence[Cell]) -> str | None:
    """What keeps these arms from a verdict whatever the numbers say."""
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


def _cost(
    title: str, pair: ArmPair, cells: Sequence[Cell], estimands: Sequence[Estimand], margin: float | None
) -> str | _Unknown:
    other = f"{pair[1].tokens} (V = {pair[1].vocabulary})"
    lead, trouble = _lead(pair, estimands), _trouble(pair, cells)
    at = f"to reach {lead.row.at_bpb:.2f} BPB" if lead else ""
    if lead and lead.estimated and not trouble:
        need = f"Under {title} bytes need {lead.value:.3g} times the compute of {other} {at}"
        return f"{need} ({lead.spread}){lead.equivalence(margin)}"
    if lead and lead.bound and not trouble:
        side, end = lead.bound
        need = f"Under {title} bytes need {side} {end:.3g} times the compute of {other} {at}"
        return f"{need}, a bound, since the arms' budgets share no loss"
    return _Unknown(other, trouble or "the budgets of the two arms say nothing at a common loss")


def _interaction(
    asked: _Question, cells: Sequence[Cell], estimands: Sequence[Estimand], margin: float | None
) -> str | _Unknown:
    arms, other = [*asked.pair, *asked.base], f"{asked.pair[1].tokens} (V = {asked.pair[1].vocabulary})"
    lead, trouble = _lead(arms, estimands), _trouble(arms, cells)
    if lead and lead.estimated and not trouble:
        assert lead.ci95 is not None
        low, high = lead.ci95
        says = "which is more" if low > 0 else "which is less" if high < 0 else "not told apart from 1"
        return (
            f"At {lead.row.at_bpb:.2f} BPB the overhead of bytes over {other} under {asked.title} is "
            f"{np.exp(lead.value):.3g} times that under {asked.base_title}, {says} "
            f"(interaction {lead.value:.3g} in natural log, {lead.spread}){lead.equivalence(margin)}"
        )
    why = trouble or "there is no loss that all four arms were seen at"
    bound = ""
    if lead and lead.bound:
        side, end = lead.bound
        bound = (
            f"; the runs only say that the overhead under {asked.title} is {side} {np.exp(end):.3g} times that "
            f"under {asked.base_title} at {lead.row.at_bpb:.2f} BPB"
        )
    return _Unknown(other, why, bound)
