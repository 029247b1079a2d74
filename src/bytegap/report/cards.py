"""The cards at the head of the page: one per claim, with its value, or with what is missing to know it."""

from dataclasses import dataclass

from bytegap.report import format as fmt
from bytegap.schema.base import Quantity
from bytegap.schema.claims import Claim
from bytegap.schema.fit import Fit

_TITLES = {
    "overhead": fmt.ESTIMAND_NAMES["overhead"],
    "interaction": fmt.ESTIMAND_NAMES["interaction"],
    "permutation": "interaction with permutation, difference of ln k",
    "parity": fmt.ESTIMAND_NAMES["parity"],
    "slopes": "difference of exponents, g",
    "non-inferiority": "difference of exponents, g, over shared losses",
    "gap closed": "share of an overhead that is closed",
}
_FORMATTERS = {
    "overhead": fmt.ratio,
    "interaction": fmt.signed,
    "permutation": fmt.signed,
    "parity": fmt.flops,
    "slopes": fmt.signed,
    "non-inferiority": fmt.signed,
    "gap closed": fmt.percent,
}
MOST_MISSING = 6
_UNITS = {"interaction": "(natural log)", "permutation": "(natural log)", "parity": "FLOPs"}


@dataclass(frozen=True)
class Card:
    """One comparison of arms."""

    title: str
    """What is compared."""
    value: str
    """The estimate, or a bound; else empty."""
    interval: str
    """The 95 % interval of an estimate, covering those of all forms of the frontier, with its unit."""
    executed: str
    """The estimate by the FLOPs that the training step executes; else empty."""
    note: str
    """The arms, and the loss that the value is for."""
    missing: str
    """Why it is not identified and what would identify it; empty where it is identified."""


def cards(fit: Fit) -> list[Card]:
    """A card per claim about arms of the study, those that are identified first; of the others at most `MOST_MISSING`.

    The verdict has a sentence for each.
    """
    found = [_card(claim) for claim in fit.claims if claim.arms]
    missing = [card for card in found if card.missing]
    return [card for card in found if not card.missing] + missing[:MOST_MISSING]


def _card(claim: Claim) -> Card:
    formatter = _FORMATTERS[claim.kind]
    pairs = [" / ".join(claim.arms[start : start + 2]) for start in range(0, len(claim.arms), 2)]
    note = " against ".join(pairs) + (f", at {fmt.four_digits(claim.at_bpb)} BPB" if claim.at_bpb is not None else "")
    value = "" if claim.value is None else formatter(claim.value)
    if not claim.is_estimate:
        texts = claim.sentence, claim.caveat, claim.remedy
        bound = f"{claim.bound} {value}" if claim.status == "bound" else ""
        return Card(_TITLES[claim.kind], bound, "", "", note, " ".join(filter(None, texts)))
    ends = fmt.interval(Quantity(value=claim.value, ci95=claim.ci95), formatter)
    interval = f"95 % CI {ends} {_UNITS.get(claim.kind, '')}".strip() if ends else ""
    shown = {"equivalent": "equivalent within", "not below": "not below by more than"}.get(claim.status)
    tested = f", {shown} {claim.margin:g}" if shown else ""
    return Card(_TITLES[claim.kind], value, interval, _executed(claim), note + tested, "")


def _executed(claim: Claim) -> str:
    if claim.executed is None:
        return ""
    formatter, recount = _FORMATTERS[claim.kind], claim.executed
    return f"by executed FLOPs {recount.bound} {formatter(recount.value)}".replace("  ", " ")
