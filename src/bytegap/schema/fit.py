"""fit.json: cells, frontiers, estimands and conclusions of a study."""

from typing import Literal

from bytegap.schema.base import FrozenDict, FrozenModel, Quantity, Record


class Cell(FrozenModel):
    """An IsoFLOP cell: the runs of one arm at one budget, the parabola through them, its minimum."""

    arm: str
    budget_flops: float
    """Nominal training FLOPs of its runs."""
    runs: tuple[str, ...]
    """Ids of the finished runs, by rising size; the next four fields are in the same order."""
    parameters: tuple[int, ...]
    """Non-embedding parameters."""
    tokens: tuple[int, ...]
    bpb: tuple[float, ...]
    bpb_se: tuple[float, ...]
    optimum_parameters: Quantity
    optimum_tokens: Quantity
    optimum_bpb: Quantity
    curvature: Quantity
    """Of BPB in (ln N)^2."""
    bracketed: bool
    """The optimum is within the range of sizes, and the curvature's interval is above 0."""
    learns_context: bool
    """The optimum is at least 0.5 BPB below the tokenizer's unigram model."""
    in_frontier: bool
    """The cell is used in frontier fits: `bracketed` and `learns_context`."""
    note: str
    """Why it is not in the frontier; else empty."""
    curve: tuple[tuple[float, float], ...]
    """(N, BPB) along the parabola, for plots."""


Form = Literal["power law", "shared irreducible loss", "own irreducible loss"]
"""Form of a frontier: E = 0, one E for several arms, or an E of the arm's own."""


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
    curve: tuple[tuple[float, float, float, float], ...]
    """(C, BPB, lower end, upper end) within the observed budgets, for plots; the ends are of the 95 % interval."""


Label = Literal["estimated", "censored", "extrapolated"]
"""Whether an estimate is within what all its arms were observed at, a bound, or beyond what they were observed at."""


class Estimand(FrozenModel):
    """One estimate: of what, of which arms, evaluated where, its value, and how it is known."""

    name: Literal["overhead", "interaction", "gap", "slope", "parity"]
    objective: str
    """Objective of the arms, and their permutation if they have one. Of an interaction, what is compared: `mdm - ar`,
    or `ar, fixed - identity`."""
    arms: tuple[str, ...]
    """Byte arm and other arm; of an interaction, both pairs."""
    form: Form | Literal["minima"]
    """Form of the frontiers; `minima` where the minima of two cells are compared."""
    at_bpb: float | None = None
    """Loss that it is evaluated at."""
    at_flops: float | None = None
    """Compute that it is evaluated at."""
    quantity: Quantity
    """overhead: a ratio of compute; interaction: natural log of a ratio; gap: BPB; slope: d log k / d log C; parity:
    FLOPs. If `label` is `censored`, a bound."""
    ci90: tuple[float, float] | None = None
    """90 % interval of an estimated overhead or interaction; if within the margin, two one-sided tests pass at 5 %."""
    bound: Literal["", ">", "<"] = ""
    """Side of a bound: the true value is above or below `quantity`."""
    pure_shift: Quantity | None = None
    """For an interaction at equal compute: its value if MDM were AR at a constant multiple of compute."""
    label: Label
    headline: bool = False
    """Whether the conclusions state it."""


class ConventionResult(FrozenModel):
    """The headline estimates from the same runs, their FLOPs counted under another convention."""

    convention: str
    bootstraps: int
    """Fewer than the fit's own: intervals for comparison only."""
    largest_adjustment: float
    """Largest factor between a run's compute and its cell's common compute; 1 where the runs match."""
    cells_in_frontier: int
    estimands: tuple[Estimand, ...]
    """At the losses and in the forms of the fit's headlines, and the parities of the same arms."""
    excluded_arms: tuple[str, ...]
    """Arms without a frontier, whose runs cannot be adjusted to a common compute."""


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


class NgramBaseline(FrozenModel):
    """Loss of a tokenizer's unigram and bigram models on the same test windows."""

    tokenizer: str
    vocab_size: int
    unigram_bpb: float
    bigram_bpb: float


class Fit(Record):
    """All estimates and conclusions of a study's runs."""

    inputs_sha256: str
    """Hash of the rows, the seed and the options that it was made from."""
    convention: str
    """How FLOPs are counted."""
    bootstraps: int
    """Number of bootstrap draws."""
    noise_log_bpb: FrozenDict[str, float]
    """Residual standard deviation of log BPB about the parabolas, pooled over the cells of an objective."""
    ngram_baselines: tuple[NgramBaseline, ...]
    cells: tuple[Cell, ...]
    frontiers: tuple[Frontier, ...]
    estimands: tuple[Estimand, ...]
    by_convention: tuple[ConventionResult, ...] = ()
    """The headlines under each convention that all runs have counts under, the fit's own first."""
    margin: float | None = None
    """Ratio of compute that the study set in advance as equivalent."""
    separate_laws: SeparateLaws | None = None
    """None where fewer than two arms have a frontier."""
    slopes: tuple[SlopePair, ...] = ()
    """The pairs of arms that the study's [fit] table names."""
    identified: bool
    """Whether the interaction of MDM over AR is identified for every tokenizer."""
    verdict: tuple[str, ...]
    """The conclusions: overhead under AR, under MDM, interaction; then those about permutations and `slopes`."""
    warnings: tuple[str, ...]
