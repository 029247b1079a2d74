"""Frontiers of arms and tests of their exponents: parts of fit.json."""

from typing import Literal

from bytegap.schema.base import FrozenModel, Quantity

Form = Literal["power law", "shared irreducible loss", "own irreducible loss", "parametric"]
"""Form of a frontier: through the minima with E = 0, one E for several arms, or an E of the arm's own; or that of the
Chinchilla law of the arm's runs, L(N, D) with D = C / 6 N."""


class Frontier(FrozenModel):
    """L(C) = E + A C^-g of one arm, through the minima of its cells."""

    arm: str
    form: Form
    irreducible_loss_bpb: Quantity
    """E."""
    amplitude: Quantity
    """A."""
    exponent: Quantity
    """g."""
    flops_observed: tuple[float, float]
    """Least and most compute of the budgets used."""
    bpb_observed: tuple[float, float]
    """Lowest and highest minimum of the budgets used."""
    lack_of_fit: float | None = None
    """Chi-square / dof of the minima (of the runs, if parametric) about the form, in the noise of runs. Where it is
    above 1, that noise is multiplied by its root in the draws. None without degrees of freedom."""
    curve: tuple[tuple[float, float, float, float], ...]
    """(C, BPB, lower end, upper end) within the observed budgets, for plots; the ends are of the 95 % interval."""


SharedBy = Literal["all", "objective", "tokenizer", "arm"]
"""The arms that have one exponent: all, those of an objective, those of a tokenizer, or none."""


class NestedModel(FrozenModel):
    """ln(L - E) = ln A - g ln C, with an A for each arm and g shared by groups of arms."""

    shared_by: SharedBy
    exponents: int
    """Number of different g."""
    chi_square: float
    """Of the cells' minima, in units of their own deviations."""
    dof: int
    """Minima less parameters."""
    irreducible_loss_bpb: float
    """E, one for all arms; 0 in the form `power law`."""
    p_value: float | None
    """Against the model of one exponent per arm, by parametric bootstrap; None for that model itself."""


class SeparateLaws(FrozenModel):
    """Nested test of whether arms need separate exponents; models from the fewest exponents on."""

    form: Literal["power law", "shared irreducible loss"]
    arms: tuple[str, ...]
    models: tuple[NestedModel, ...]
    simplest: SharedBy
    """The model of fewest exponents that is not rejected at 5 %."""


class SlopePair(FrozenModel):
    """Equivalence test of two arms' exponents, g of L = A C^-g, within a margin set in advance."""

    arms: tuple[str, str]
    margin: float
    """Margin of a difference of exponents."""
    exponents: tuple[Quantity, Quantity] | None = None
    """None where an arm has no frontier."""
    difference: Quantity | None = None
    """The first arm's exponent less the second's."""
    ci90: tuple[float, float] | None = None
    """90 % interval of the difference."""
    equivalent: bool = False
    """`ci90` is within the margin on both sides: two one-sided tests pass at 5 %."""
    power: float | None = None
    """Probability that such a study passes the test if the exponents are equal."""
    least_margin: float | None = None
    """The margin at which the power is 80 %."""


class ExponentNotBelow(FrozenModel):
    """Non-inferiority test of an arm's exponent, over the losses that both arms were observed at."""

    arms: tuple[str, str]
    margin: float
    """Margin of a difference of exponents, set in advance."""
    bpb_shared: tuple[float, float] | None = None
    """Lowest and highest loss that both arms were observed at; None where there is none."""
    form: Form | None = None
    """Of the frontiers that the next two fields are from; None where the arms have no frontier in common."""
    forms: int = 0
    """Number of forms that `ci90` covers."""
    exponents: tuple[Quantity, Quantity] | None = None
    difference: Quantity | None = None
    """The first arm's exponent less the second's."""
    ci90: tuple[float, float] | None = None
    """Covers the 90 % intervals of the difference in all forms: each end is one-sided at 5 %."""
    not_below: bool = False
    """The lower end of `ci90` is above -`margin`."""
    power: float | None = None
    """Probability that such a study passes the test if the exponents are equal, by its widest form."""
