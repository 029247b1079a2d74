"""Claims in English: the only place where a conclusion becomes text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.errors import listed
from bytegap.fit.frontiers import Arm
from bytegap.schema.claims import Claim, Missing
from bytegap.schema.fit import RepeatSpread
from bytegap.study.comparisons import is_alike

LEAST_DOCUMENTS = 20
"""With fewer held-out documents the verdict opens with saying so."""
HEADLINE = "mdm - ar"
"""`Claim.objective` of the interaction of MDM over AR on text as written."""
NOT_IDENTIFIED = "Not identified at this scale"
_TITLES = {"ar": "AR", "mdm": "MDM"}
_SIDES = {">": "more than", "<": "less than"}
_NUMERALS = {2: "two", 3: "three", 4: "four"}


def verdict(
    claims: Sequence[Claim],
    held_out_documents: int | None,
    repeat_spread: Sequence[RepeatSpread],
    repeats: int,
) -> list[str]:
    """The conclusions as a reader sees them, one claim after the other, each with its spread between the repeats.

    Apart from the interaction of MDM over AR on text as written, an interaction is left out where the overhead that it
    is about is not identified itself.
    """
    unknown = [claim.arms for claim in claims if claim.kind == "overhead" and claim.status == "not identified"]
    shown = [
        claim
        for claim in claims
        if claim.objective == HEADLINE
        or not (claim.kind in {"interaction", "permutation"} and claim.arms[:2] in unknown)
    ]
    of_spread: dict[tuple[tuple[str, ...], float | None], str] = {
        (spread.arms, spread.at_bpb): _of_spread(spread, repeats) for spread in repeat_spread
    }
    return [
        *_about_documents(held_out_documents),
        *(
            " ".join(
                filter(None, [claim.sentence, claim.caveat, claim.remedy, of_spread.get((claim.arms, claim.at_bpb))])
            )
            for claim in shown
        ),
    ]


def _about_documents(number: int | None) -> list[str]:
    if number is None:
        return ["These runs do not record how many documents the test text has, nor how much they differ."]
    if number < LEAST_DOCUMENTS:
        have = "one document" if number == 1 else f"{number} documents"
        return [
            f"The test text is of only {have}, fewer than {LEAST_DOCUMENTS}, so the intervals say little about others."
        ]
    return []


def _of_spread(spread: RepeatSpread, repeats: int) -> str:
    """A claim's number in the repeats of a study, of which there are `repeats`; it follows the claim's sentence."""
    have = {0: "none has an estimate", 1: "1 has an estimate"}.get(spread.repeats, f"{spread.repeats} have an estimate")
    if not spread.repeats:
        return f"Of the {repeats} repeats of the study, each fitted alone, {have}."
    opening = f"Of the {repeats} repeats of the study, each fitted alone, {have}:"
    if spread.repeats == repeats:
        opening = f"The {repeats} repeats of the study, each fitted alone, have"
    name, deviates = ("I", "I") if spread.name == "interaction" else ("k", "ln k")
    values = listed([f"{value:.3g}" for value in spread.values])
    deviation = "" if spread.sd_ln is None else f" (standard deviation of {deviates} {spread.sd_ln:.2g})"
    # One estimate is much of what the interval was made of.
    within = f"; {spread.within} of {spread.repeats} within the interval" if spread.repeats > 1 else ""
    return f"{opening} {name} = {values}{deviation}{within}."


def of_claim(claim: Claim, arms: Mapping[str, Arm]) -> str:
    """One sentence; `arms` are all arms of the study by name."""
    if not claim.arms:
        return _of_unmatched(claim)
    if claim.kind == "slopes":
        return _of_slopes(claim)
    if claim.kind == "non-inferiority":
        return _of_non_inferiority(claim)
    byte, other, *base = (arms[name] for name in claim.arms)
    pair = _Pair(byte, other)
    match claim.kind:
        case "parity":
            sentence = _of_parity(claim, pair)
        case "overhead":
            sentence = _of_overhead(claim, pair)
        case "permutation":
            sentence = _of_interaction(claim, pair, "that without permutation")
        case "gap closed":
            sentence = _of_gap_closed(claim, pair, _Pair(base[0], base[1]))
        case "interaction":
            sentence = _of_interaction(claim, pair, _base(pair, _Pair(base[0], base[1])))
    return sentence


@dataclass(frozen=True)
class _Pair:
    """The two arms of an overhead in words: by condition if only the tokenizers differ, else by name."""

    byte: Arm
    other: Arm

    @property
    def is_alike(self) -> bool:
        return is_alike((self.byte, self.other))

    @property
    def over(self) -> str:
        """What bytes are compared with."""
        return f"{self.other.tokenizer} (V = {self.other.vocab_size})" if self.is_alike else self.other.name

    @property
    def need(self) -> str:
        """Subject and verb of a sentence about compute."""
        return f"Under {_condition(self.byte)} bytes need" if self.is_alike else f"{self.byte.name} needs"

    @property
    def overhead(self) -> str:
        """The overhead as a noun."""
        if self.is_alike:
            return f"overhead of bytes over {self.over} under {_condition(self.byte)}"
        return f"overhead of {self.byte.name} over {self.over}"


def _base(pair: _Pair, base: _Pair) -> str:
    """The overhead that a pair's is compared with, as a noun."""
    same_tokenizers = pair.is_alike and base.is_alike and pair.over == base.over
    return f"that under {_condition(base.byte)}" if same_tokenizers else f"the {base.overhead}"


def _condition(arm: Arm) -> str:
    """Objective and permutation of an arm, and its architecture if it has options: `AR with permutation reverse`."""
    title = _TITLES.get(arm.objective, arm.objective)
    if arm.permutation != "identity":
        title = f"{title} with permutation {arm.permutation}"
    return title if arm.model == arm.architecture else f"{title} of a {arm.model}"


def _of_unmatched(claim: Claim) -> str:
    if claim.kind == "overhead":
        title = _TITLES[claim.objective]
        return f"The overhead of bytes under {title} is not estimated: no byte arm has a matching subword arm."
    return "The interaction of MDM over AR is not estimated: it needs byte and subword arms under both."


def _of_parity(claim: Claim, pair: _Pair) -> str:
    assert claim.value is not None
    flops = _flops(claim.value)
    return f"{pair.need} no more compute than {pair.over} from {flops} FLOPs on ({_interval(claim, _flops)})."


def _of_overhead(claim: Claim, pair: _Pair) -> str:
    if claim.status == "not identified":
        return f"{NOT_IDENTIFIED}: the {pair.overhead}, because {_reason(claim)}."
    assert claim.value is not None
    need = f"{pair.need} {_value(claim)} times the compute of {pair.over} at {claim.at_bpb:.2f} BPB"
    if claim.status == "bound":
        return f"{need}, a bound, because {_reason(claim)}{_recount(claim)}."
    return f"{need} ({_interval(claim)}){_recount(claim)}{_equivalence(claim)}."


def _of_interaction(claim: Claim, pair: _Pair, base: str) -> str:
    """`base` is the overhead that the pair's is compared with, as a noun."""
    if claim.status == "not identified":
        whether = f"whether the {pair.overhead} is larger than {base}"
        bound = ""
        if claim.value is not None:
            times = f"{_SIDES[claim.bound]} {np.exp(claim.value):.3g} times"
            bound = f"; the runs show only that it is {times} as large at {claim.at_bpb:.2f} BPB"
        return f"{NOT_IDENTIFIED}: {whether}, because {_reason(claim)}{bound}."
    assert claim.value is not None
    side = f"{_SIDES[claim.bound]} " if claim.bound else ""
    is_times = f"At {claim.at_bpb:.2f} BPB the {pair.overhead} is {side}{np.exp(claim.value):.3g} times {base}"
    if claim.status == "bound":
        return f"{is_times}, a bound, because {_reason(claim)}{_recount(claim, 'interaction ')}."
    assert claim.ci95 is not None
    low, high = claim.ci95
    conclusion = "" if low > 0 or high < 0 else ", not distinguishable from 1"
    number = f"interaction {claim.value:.3g} in natural log, {_interval(claim)}"
    return f"{is_times}{conclusion} ({number}){_recount(claim, 'interaction ')}{_equivalence(claim)}."


def _of_slopes(claim: Claim) -> str:
    one, other = claim.arms
    if claim.ci90 is None or claim.ci95 is None:
        reason = _reason(claim)
        return f"{NOT_IDENTIFIED}: whether {one} and {other} have equal exponents, because {reason}."
    differ = claim.ci95[0] > 0 or claim.ci95[1] < 0
    conclusion = {
        (True, False): f"equivalent within {claim.margin:g}, the margin set in advance",
        (True, True): f"different, but equivalent within {claim.margin:g}, the margin set in advance",
        (False, True): "different",
        (False, False): f"neither shown to differ nor to be equivalent within {claim.margin:g}",
    }[claim.status == "equivalent", differ]
    return (
        f"The exponents of {one} and {other} are {conclusion}: they differ by {claim.value:.3f} (90 % interval "
        f"{claim.ci90[0]:.3f} to {claim.ci90[1]:.3f}); if they were equal, such a study would show equivalence with "
        f"probability {claim.power:.2f}, and with probability 0.80 for a margin of {claim.least_margin:.3f}."
    )


def _of_non_inferiority(claim: Claim) -> str:
    one, other = claim.arms
    above = f"is above that of {other} less {claim.margin:g}, the margin set in advance"
    if claim.ci90 is None or claim.value is None or claim.between_bpb is None:
        return f"{NOT_IDENTIFIED}: whether the exponent of {one} {above}, because {_reason(claim)}."
    assert claim.margin is not None
    assert claim.power is not None
    low, high = claim.ci90
    conclusion = (
        f"The exponent of {one} {above}"
        if claim.status == "not below"
        else f"The exponent of {one} is below that of {other} by more than {claim.margin:g}, the margin set in advance"
        if high < -claim.margin
        else f"It is not decided whether the exponent of {one} {above}"
    )
    forms = f", covering all {claim.forms} forms of the frontier" if claim.forms > 1 else ""
    return (
        f"{conclusion}: from {claim.between_bpb[1]:.2f} to {claim.between_bpb[0]:.2f} BPB it differs by "
        f"{claim.value:+.4f} (90 % interval {low:+.4f} to {high:+.4f}{forms}); if the exponents were equal, such a "
        f"study would show it with probability {claim.power:.2f}."
    )


def _of_gap_closed(claim: Claim, pair: _Pair, base: _Pair) -> str:
    own = f"the {pair.overhead}"
    if claim.status == "not identified":
        return f"{NOT_IDENTIFIED}: how much of the {base.overhead} {own} leaves, because {_reason(claim)}."
    number = f"{_value(claim)} of the {base.overhead} is closed, comparing {own}"
    where = f"At {claim.at_bpb:.2f} BPB {number}"
    if claim.status == "bound":
        return f"{where}, a bound{_recount(claim)}."
    return f"{where} ({_interval(claim)}){_recount(claim)}."


def _value(claim: Claim) -> str:
    side = f"{_SIDES[claim.bound]} " if claim.bound else ""
    return f"{side}{claim.value:.3g}"


def _interval(claim: Claim, formatter: Callable[[float], str] = "{:.3g}".format) -> str:
    assert claim.ci95 is not None
    low, high = map(formatter, claim.ci95)
    all_forms = "both" if claim.forms == 2 else f"all {claim.forms}"
    covering = f", covering {all_forms} forms of the frontier" if claim.forms > 1 else ""
    return f"95 % interval {low} to {high}{covering}"


def _recount(claim: Claim, what: str = "") -> str:
    """The same number by the FLOPs that the step executes, without its interval, which covers fewer forms."""
    again = claim.executed
    if again is None:
        return ""
    side = f"{_SIDES[again.bound]} " if again.bound else ""
    return f"; by the FLOPs that the training step executes, {what}{side}{again.value:.3g}"


def _equivalence(claim: Claim) -> str:
    if claim.status != "equivalent":
        return ""
    return f", equivalent within a factor of {claim.margin:g}, the margin set in advance"


def _reason(claim: Claim) -> str:
    reason = claim.reason
    assert reason is not None
    if claim.kind in {"slopes", "non-inferiority"} and reason.why in {"no frontier", "no interval"}:
        return "one of them has no frontier" if reason.why == "no frontier" else "the difference has no interval"
    names, has = " and ".join(reason.arms), "has" if len(reason.arms) == 1 else "have"
    below = f"{reason.below_unigram_bpb or 0.0:.2f} BPB below its unigram"
    number = _NUMERALS.get(len(reason.arms), "")
    return {
        "no matching arm": "no byte arm has a matching subword arm",
        "no finished run": f"{names} has no finished run",
        "not learning context": f"{names} at its largest budget is not yet learning context: {below}",
        "no bracketed minimum": f"{names} has no budget whose minimum is bracketed",
        "no frontier": f"{names} {has} only one good budget",
        "no common loss": f"the {number} arms were observed at no common loss",
        "no interval": "the estimate has no interval",
        "no overhead": f"{names} show no overhead there",
    }[reason.why]


def of_untested(claim: Claim) -> str:
    """That the form of frontiers through two minima cannot be tested, in one sentence; empty where there are none."""
    names = listed(claim.untested)
    match len(claim.untested):
        case 0:
            return ""
        case 1:
            return f"The frontier of {names} rests on two budgets, so its form is not tested."
        case _:
            return f"The frontiers of {names} rest on two budgets each, so their form is not tested."


def of_missing(claim: Claim) -> str:
    """What would identify a claim, in one sentence; empty where nothing is known to be missing."""
    smaller = [lack for lack in claim.missing if lack.needs == "smaller budget"]
    others = [lack for lack in claim.missing if lack.needs != "smaller budget"]
    parts = [" and ".join(map(_lack, group)) for group in (others, smaller) if group]
    return f"It would take {', or '.join(parts)}." if parts else ""


def _lack(lack: Missing) -> str:
    match lack.needs:
        case "larger budget" | "smaller budget" as needs:
            at = f", by extrapolation at about {_flops(lack.flops)} FLOPs" if lack.flops else ""
            direction = "down to" if needs == "larger budget" else "up to"
            return f"a {needs} of {lack.arm} ({direction} {lack.bpb:.2f} BPB{at})"
        case "another budget":
            return f"a second good budget of {lack.arm}"
        case "finished runs":
            return f"finished runs of {lack.arm}"
        case "more runs":
            return f"more runs of {lack.arm} at the same sizes"
        case "larger sizes" | "smaller sizes" as needs:
            return f"{needs} of {lack.arm} at its largest budget"


def _flops(value: float) -> str:
    """FLOPs to two significant digits, as in a study file: 4.1e13."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
