"""Conclusions of a fit as records: a part of fit.json."""

from typing import Literal

from bytegap.schema.base import FrozenModel

ClaimKind = Literal["overhead", "interaction", "permutation", "parity", "slopes", "non-inferiority", "gap closed"]
"""interaction: of another objective over AR; permutation: the interaction of permuted text over the text as written;
slopes, non-inferiority: the two-sided and the one-sided test of two exponents."""
ClaimStatus = Literal["estimated", "equivalent", "not below", "bound", "not identified"]


class Reason(FrozenModel):
    """Why something is not identified, or only a bound."""

    why: Literal[
        "no matching arm",
        "no finished run",
        "not learning context",
        "no bracketed minimum",
        "no frontier",
        "no common loss",
        "no interval",
        "no overhead",
    ]
    arms: tuple[str, ...] = ()
    """The arms that it is due to."""
    below_unigram_bpb: float | None = None
    """Of `not learning context`: how far the minimum of the arm's largest budget is below its unigram model."""


class Missing(FrozenModel):
    """What an arm lacks."""

    arm: str
    needs: Literal[
        "finished runs",
        "larger budget",
        "smaller budget",
        "another budget",
        "larger sizes",
        "smaller sizes",
        "more runs",
    ]
    bpb: float | None = None
    """Loss that its frontier must reach."""
    flops: float | None = None
    """Compute at which it would, by its own frontier's extrapolation; None where it has none, or never would."""


class Recount(FrozenModel):
    """A claim's number under another FLOPs convention, at the same loss."""

    convention: str
    value: float
    ci95: tuple[float, float] | None
    """Covers the intervals of all forms but the parametric, which is not fitted again; from fewer bootstraps than the
    claim's own, so the two are not comparable."""
    bound: Literal["", ">", "<"] = ""


class Claim(FrozenModel):
    """One conclusion: about which arms, where, what value, and how it is known."""

    kind: ClaimKind
    objective: str
    """As in `Estimand`."""
    arms: tuple[str, ...]
    """As in `Estimand`; empty where the study has no arms to compare."""
    at_bpb: float | None = None
    """Loss that it is made at."""
    between_bpb: tuple[float, float] | None = None
    """Of non-inferiority: the losses, from the lowest to the highest, that both exponents are over."""
    status: ClaimStatus
    """estimated: by all arms within their observed budgets; equivalent: estimated, and two one-sided tests place it
    within the margin; not below: estimated, and a one-sided test places it above minus the margin; bound: only `bound`
    is known; not identified: `reason` says why."""
    value: float | None = None
    """overhead: a ratio of compute; interaction, permutation: natural log of a ratio; parity: FLOPs; slopes,
    non-inferiority: difference of the exponents g; gap closed: a share. Of a bound, the end of its interval that claims
    least."""
    ci95: tuple[float, float] | None = None
    """Covers the intervals of all forms of the frontier: either end is the outermost."""
    ci90: tuple[float, float] | None = None
    """Likewise; the equivalence test uses it."""
    forms: int = 0
    """Number of forms of the frontier."""
    untested: tuple[str, ...] = ()
    """Those of its arms whose frontier rests on two budgets, which no form can fail to fit. Empty in claims without a
    value, and in those older than this field."""
    bound: Literal["", ">", "<"] = ""
    """Side of a bound: the true value is above or below `value`."""
    margin: float | None = None
    """The margin of the equivalence test: a ratio of compute or, of slopes, a difference of g."""
    power: float | None = None
    """Of slopes: as in `SlopePair`; of non-inferiority: as in `ExponentNotBelow`."""
    least_margin: float | None = None
    """Of slopes: as in `SlopePair`."""
    reason: Reason | None = None
    """Of a bound or of what is not identified."""
    missing: tuple[Missing, ...] = ()
    """What would identify it. Of larger and smaller budgets, either all of one or all of the other suffice."""
    executed: Recount | None = None
    """Under the FLOPs that the training step executes; None where the rows have no such count."""
    sentence: str = ""
    """The claim in English."""
    caveat: str = ""
    """`untested` in English."""
    remedy: str = ""
    """`missing` in English."""

    @property
    def is_estimate(self) -> bool:
        """Whether it has a value and not only a bound."""
        return self.status in {"estimated", "equivalent", "not below"}
