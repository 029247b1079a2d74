"""The conclusions as records: the overhead of bytes under each objective, whether one is larger than another, parity.

A number is claimed only where it was estimated, a bound only as a bound, each with an interval that covers those of
all forms of the frontier. "Not identified" is a conclusion too, with its reason and what would identify it. Equivalence
is claimed only within a margin that the study set in advance: two one-sided tests at 5 % (Schuirmann 1987).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit import sentences
from bytegap.fit.conventions import EXECUTED
from bytegap.fit.frontiers import LEAST_BUDGETS, Arm, FittedFrontier, TwoArms
from bytegap.fit.missing import missing_for, obstacle
from bytegap.scaling.bootstrap import Interval, covering
from bytegap.schema.claims import Claim, ClaimKind, Reason, Recount
from bytegap.schema.fit import Cell, Estimand, GapClosed
from bytegap.schema.frontier import ExponentNotBelow, SlopePair
from bytegap.study.comparisons import Comparisons, compared, is_alike, is_over_ar, is_over_identity

HEADLINED = ("ar", "mdm")
"""The objectives that a study's first conclusions are about."""


@dataclass(frozen=True)
class Evidence:
    """What the conclusions are drawn from."""

    arms: Sequence[Arm]
    comparisons: Comparisons
    cells: Sequence[Cell]
    frontiers: Sequence[FittedFrontier]
    estimands: Sequence[Estimand]
    unigram_bpb: Mapping[str, float]
    """Of each tokenizer."""
    executed: Sequence[Estimand] = ()
    """The headlines in every form under the FLOPs that the step executes."""
    slopes: Sequence[SlopePair] = ()
    slopes_not_below: Sequence[ExponentNotBelow] = ()
    gaps_closed: Sequence[GapClosed] = ()
    margin: float | None = None
    """A ratio of compute, set in advance, within which costs count as equivalent."""

    @property
    def pairs(self) -> list[TwoArms]:
        """The arms of every overhead."""
        return [self._two(pair) for pair in self.comparisons.pairs]

    def compared_with(self, pair: TwoArms) -> list[TwoArms]:
        """The overheads that a pair's is compared with, that of the text as written first."""
        names = (pair[0].name, pair[1].name)
        found = [self._two(base) for own, base in self.comparisons.interactions if own == names]
        return sorted(found, key=lambda base: not is_over_identity(pair, base))

    def _two(self, names: tuple[str, str]) -> TwoArms:
        by_name = {arm.name: arm for arm in self.arms}
        return by_name[names[0]], by_name[names[1]]


def conclude(evidence: Evidence) -> list[Claim]:
    """All claims: of text as written overhead under AR, under MDM, interaction, parity; then all others."""
    arms = {arm.name: arm for arm in evidence.arms}
    found = [
        *_headlines(evidence),
        *_others(evidence),
        *map(_slopes, evidence.slopes),
        *map(_not_below, evidence.slopes_not_below),
        *map(_gap_closed, evidence.gaps_closed),
    ]
    return [_in_english(_with_untested(claim, evidence.arms), arms) for claim in found]


def _with_untested(claim: Claim, arms: Sequence[Arm]) -> Claim:
    """The claim with those of its arms whose frontier is a line through two points."""
    if claim.value is None:
        return claim
    two = [arm.name for arm in arms if arm.budgets == LEAST_BUDGETS]
    return claim.model_copy(update={"untested": tuple(name for name in claim.arms if name in two)})


def _in_english(claim: Claim, arms: Mapping[str, Arm]) -> Claim:
    return claim.model_copy(
        update={
            "sentence": sentences.of_claim(claim, arms),
            "caveat": sentences.of_untested(claim),
            "remedy": sentences.of_missing(claim),
        }
    )


def identified(claims: Sequence[Claim]) -> bool:
    """Whether there are interactions of MDM over AR on text as written, and all of them are estimates."""
    own = [claim for claim in claims if claim.kind == "interaction" and claim.objective == sentences.HEADLINE]
    return bool(own) and all(claim.is_estimate for claim in own)


def _headlines(evidence: Evidence) -> Iterator[Claim]:
    pairs = [pair for pair in evidence.pairs if _is_headlined(pair)]
    for objective in HEADLINED:
        own = [pair for pair in pairs if pair[0].objective == objective]
        yield from [_compare("overhead", pair, evidence) for pair in own] or [_unmatched("overhead", objective)]
    both = [(*pair, *base) for pair in pairs for base in evidence.compared_with(pair) if _is_headlined_over(pair, base)]
    yield from [_compare("interaction", arms, evidence) for arms in both] or [
        _unmatched("interaction", sentences.HEADLINE)
    ]
    for pair in pairs:
        yield from _parity(pair, evidence)


def _is_headlined(pair: TwoArms) -> bool:
    """Whether a study's first conclusions are about this overhead: under AR or MDM, of text as written."""
    return is_alike(pair) and pair[0].objective in HEADLINED and pair[0].permutation == "identity"


def _is_headlined_over(pair: TwoArms, base: TwoArms) -> bool:
    """Whether they are about this interaction: of MDM over AR."""
    return pair[0].objective == "mdm" and is_over_ar(pair, base)


def _others(evidence: Evidence) -> Iterator[Claim]:
    """About permuted text, other objectives and what [fit] names: each overhead, then what it is compared with."""
    for pair in evidence.pairs:
        headlined = _is_headlined(pair)
        if not headlined:
            yield _compare("overhead", pair, evidence)
        for base in evidence.compared_with(pair):
            if not (headlined and _is_headlined_over(pair, base)):
                kind = "permutation" if is_over_identity(pair, base) else "interaction"
                yield _compare(kind, (*pair, *base), evidence)
        if not headlined:
            yield from _parity(pair, evidence)


def _unmatched(kind: ClaimKind, objective: str) -> Claim:
    return Claim(kind=kind, objective=objective, arms=(), status="not identified", reason=Reason(why="no matching arm"))


@dataclass(frozen=True)
class Headline:
    """An estimate with intervals that cover those of all forms of the frontier."""

    row: Estimand
    value: float
    ci95: Interval | None
    ci90: Interval | None
    forms: int

    @property
    def is_estimate(self) -> bool:
        """Whether it is neither a bound nor an extrapolation, and has an interval."""
        return self.row.label == "estimated" and self.ci95 is not None

    def is_within(self, margin: float | None) -> bool:
        """Whether it is shown to be equivalent within the margin."""
        if margin is None or self.ci90 is None:
            return False
        low, high = self.ci90 if self.row.name == "interaction" else np.log(self.ci90).tolist()
        return max(-low, high) <= np.log(margin)

    @property
    def bound(self) -> float | None:
        """The end of a bound's interval that claims least; None where that claims nothing, or it is no bound."""
        if self.row.label != "censored" or self.ci95 is None:
            return None
        low, high = self.ci95
        if self.row.bound == ">":
            return low if low > (0.0 if self.row.name == "interaction" else 1.0) else None
        return high if self.row.name == "overhead" or high < 0 else None


def _headline(names: tuple[str, ...], estimands: Sequence[Estimand]) -> Headline | None:
    """The headline of exactly these arms."""
    own = [row for row in estimands if row.arms == names]
    row = next((row for row in own if row.headline and row.quantity.value is not None), None)
    return in_all_forms(row, own) if row else None


def in_all_forms(row: Estimand, estimands: Sequence[Estimand]) -> Headline:
    """The estimate with the intervals of the same estimand in other forms."""
    key = (row.name, row.arms, row.at_bpb, row.at_flops, row.label)
    same = [each for each in estimands if (each.name, each.arms, each.at_bpb, each.at_flops, each.label) == key]
    assert row.quantity.value is not None
    ci95, ci90 = covering([each.quantity.ci95 for each in same]), covering([each.ci90 for each in same])
    return Headline(row, row.quantity.value, ci95, ci90, len(same))


def _compare(kind: ClaimKind, arms: Sequence[Arm], evidence: Evidence) -> Claim:
    """The claim on an overhead (two arms) or an interaction (four)."""
    names = tuple(arm.name for arm in arms)
    headline = _headline(names, evidence.estimands)
    about = Claim(
        kind=kind, objective=compared(arms), arms=names, status="not identified", margin=evidence.margin,
        at_bpb=headline.row.at_bpb if headline else None,
    )  # fmt: skip
    hindrance = obstacle(arms, evidence.cells, evidence.unigram_bpb)
    if headline and headline.is_estimate and not hindrance:
        known = {
            "status": "equivalent" if headline.is_within(evidence.margin) else "estimated",
            "value": headline.value,
            "ci95": headline.ci95,
            "ci90": headline.ci90,
            "forms": headline.forms,
            "executed": _recount(headline.row, evidence.executed),
        }
        return about.model_copy(update=known)
    reason = hindrance or _no_estimate(arms, headline)
    lacks = missing_for(reason, arms, evidence.cells, evidence.frontiers)
    about = about.model_copy(update={"reason": reason, "missing": lacks})
    if headline and headline.bound is not None:
        bound = {
            "value": headline.bound,
            "bound": headline.row.bound,
            "ci95": headline.ci95,
            "forms": headline.forms,
            "executed": _recount(headline.row, evidence.executed),
        }
        about = about.model_copy(update=bound | ({} if hindrance else {"status": "bound"}))
    return about


def _no_estimate(arms: Sequence[Arm], headline: Headline | None) -> Reason:
    """Why arms that learn context and have a bracketed minimum still have no estimate."""
    if headline and headline.row.label == "estimated":
        return Reason(why="no interval", arms=tuple(arm.name for arm in arms))
    if single := tuple(arm.name for arm in arms if arm.budgets == 1):
        return Reason(why="no frontier", arms=single)
    return Reason(why="no common loss", arms=tuple(arm.name for arm in arms))


def _recount(row: Estimand, executed: Sequence[Estimand]) -> Recount | None:
    """The headline under the FLOPs that the step executes; None where that is not known within observed budgets."""
    own = [each for each in executed if (each.name, each.arms, each.at_bpb) == (row.name, row.arms, row.at_bpb)]
    again = next((each for each in own if each.form == row.form and each.label != "extrapolated"), None)
    if again is None or again.quantity.value is None:
        return None
    headline = in_all_forms(again, own)
    value = headline.value if again.label == "estimated" else headline.bound
    return None if value is None else Recount(convention=EXECUTED, value=value, ci95=headline.ci95, bound=again.bound)


def _parity(pair: TwoArms, evidence: Evidence) -> Iterator[Claim]:
    """Parity where every form puts it, with its interval, within the budgets of both arms."""
    names = tuple(arm.name for arm in pair)
    rows = [row for row in evidence.estimands if row.name == "parity" and row.arms == names]
    headline = _headline(names, evidence.estimands)
    preferred = next((row for row in rows if headline and row.form == headline.row.form), None)
    if preferred is None or any(row.label != "estimated" for row in rows):
        return
    found = in_all_forms(preferred, rows)
    low, high = max(arm.flops_observed[0] for arm in pair), min(arm.flops_observed[1] for arm in pair)
    if found.ci95 and low <= found.ci95[0] and found.ci95[1] <= high:
        yield Claim(
            kind="parity", objective=compared(pair), arms=names, status="estimated", value=found.value,
            ci95=found.ci95, forms=found.forms,
        )  # fmt: skip


def _slopes(pair: SlopePair) -> Claim:
    about = Claim(kind="slopes", objective="", arms=pair.arms, status="not identified", margin=pair.margin)
    if pair.difference is None:
        return about.model_copy(update={"reason": Reason(why="no frontier", arms=pair.arms)})
    if pair.difference.ci95 is None or pair.ci90 is None:
        return about.model_copy(update={"reason": Reason(why="no interval", arms=pair.arms)})
    known = {
        "status": "equivalent" if pair.equivalent else "estimated",
        "value": pair.difference.value,
        "ci95": pair.difference.ci95,
        "ci90": pair.ci90,
        "forms": 1,
        "power": pair.power,
        "least_margin": pair.least_margin,
    }
    return about.model_copy(update=known)


def _not_below(pair: ExponentNotBelow) -> Claim:
    about = Claim(
        kind="non-inferiority", objective="", arms=pair.arms, status="not identified", margin=pair.margin,
        between_bpb=pair.bpb_shared,
    )  # fmt: skip
    if pair.bpb_shared is None:
        return about.model_copy(update={"reason": Reason(why="no common loss", arms=pair.arms)})
    if pair.difference is None:
        return about.model_copy(update={"reason": Reason(why="no frontier", arms=pair.arms)})
    if pair.difference.ci95 is None or pair.ci90 is None:
        return about.model_copy(update={"reason": Reason(why="no interval", arms=pair.arms)})
    known = {
        "status": "not below" if pair.not_below else "estimated",
        "value": pair.difference.value,
        "ci95": pair.difference.ci95,
        "ci90": pair.ci90,
        "forms": pair.forms,
        "power": pair.power,
    }
    return about.model_copy(update=known)


def _gap_closed(found: GapClosed) -> Claim:
    about = Claim(kind="gap closed", objective="", arms=found.arms, status="not identified", at_bpb=found.at_bpb)
    if found.at_bpb is None:
        return about.model_copy(update={"reason": Reason(why="no common loss", arms=tuple(dict.fromkeys(found.arms)))})
    if found.closed is None or found.closed.value is None:
        return about.model_copy(update={"reason": Reason(why="no overhead", arms=found.arms[2:])})
    if found.ci95 is None:
        return about.model_copy(update={"reason": Reason(why="no interval", arms=found.arms)})
    known = {
        "status": "bound" if found.bound else "estimated",
        "value": _stated(found),
        "ci95": found.ci95,
        "forms": found.forms,
        "bound": found.bound,
        "executed": _executed_share(found.executed),
    }
    return about.model_copy(update=known)


def _executed_share(again: GapClosed | None) -> Recount | None:
    value = None if again is None else _stated(again)
    if again is None or value is None:
        return None
    return Recount(convention=EXECUTED, value=value, ci95=again.ci95, bound=again.bound)


def _stated(found: GapClosed) -> float | None:
    """The share, or of a bound the end of its interval that claims least; None where it is not known."""
    if found.bound:
        return None if found.ci95 is None else found.ci95[0 if found.bound == ">" else 1]
    return found.closed.value if found.closed else None
