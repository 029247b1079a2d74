"""fit.json: cells, frontiers, estimands and conclusions of a study."""

from typing import Literal

from bytegap.schema.base import FrozenDict, FrozenModel, Quantity, Record
from bytegap.schema.claims import Claim
from bytegap.schema.frontier import ExponentNotBelow, Form, Frontier, SeparateLaws, SlopePair


class Cell(FrozenModel):
    """An IsoFLOP cell: the runs of one arm at one budget, the curve through them, its minimum."""

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
    """Half the second derivative of BPB in ln N at the optimum."""
    bracketed: bool
    """The optimum is within the range of sizes, and the curvature's interval is above 0."""
    learns_context: bool
    """The optimum is at least 0.5 BPB below the tokenizer's unigram model."""
    in_frontier: bool
    """The cell is used in frontier fits: `bracketed` and `learns_context`."""
    note: str
    """Why it is not in the frontier; else empty."""
    curve: tuple[tuple[float, float], ...]
    """(N, BPB) along the fitted curve, for plots."""


Label = Literal["estimated", "censored", "extrapolated"]
"""Whether an estimate is within what all its arms were observed at, a bound, or beyond what they were observed at."""


EstimandName = Literal["overhead", "interaction", "gap", "slope", "parity", "size_ratio", "size_gap"]
"""size_ratio: ratio of optimal sizes at equal loss; size_gap: difference of loss at equal optimal size."""


class Estimand(FrozenModel):
    """One estimate: of what, of which arms, evaluated where, its value, and how it is known."""

    name: EstimandName
    objective: str
    """Objective of the arms, their permutation if they have one, and their architecture if it has options. Of an
    interaction, what is compared: `mdm - ar`, or `ar, fixed - identity`."""
    arms: tuple[str, ...]
    """Byte arm and other arm; of an interaction, both pairs."""
    form: Form | Literal["minima"]
    """Form of the frontiers; `minima` where it is from the minima of cells alone."""
    at_bpb: float | None = None
    """Loss that it is evaluated at."""
    at_flops: float | None = None
    """Compute that it is evaluated at."""
    at_parameters: float | None = None
    """Non-embedding parameters, N, that it is evaluated at."""
    quantity: Quantity
    """overhead: a ratio of compute; interaction: natural log of a ratio; gap, size_gap: BPB; slope: d log k / d log C;
    parity: FLOPs; size_ratio: a ratio of parameters. If `label` is `censored`, a bound."""
    ci90: tuple[float, float] | None = None
    """90 % interval of an estimated overhead or interaction; if within the margin, two one-sided tests pass at 5 %."""
    bound: Literal["", ">", "<"] = ""
    """Side of a bound: the true value is above or below `quantity`."""
    pure_shift: Quantity | None = None
    """For an interaction at equal compute: its value if MDM were AR at a constant multiple of compute."""
    label: Label
    headline: bool = False
    """Whether the conclusions state it."""


class LossDifference(FrozenModel):
    """Loss of an arm less that of another at equal compute, both at their best sizes; negative where it is better."""

    arms: tuple[str, str]
    """The arm, and the masked diffusion arm of its tokenizer or an arm that the study names."""
    budget_flops: float
    """Nominal training FLOPs of both."""
    difference_bpb: Quantity
    bracketed: bool
    """Both minima are within the range of sizes; otherwise an end of that range stands for a minimum."""


class Refit(FrozenModel):
    """The headline estimates again, under one other choice."""

    bootstraps: int
    """Fewer than the fit's own: intervals for comparison only."""
    cells_in_frontier: int
    estimands: tuple[Estimand, ...]
    """At the losses and in the forms of the fit's headlines, and the parities of the same arms. Under another edge or
    gate, and in one repeat, also the new headline of arms whose headline in the fit is not an estimate."""


class ConventionResult(Refit):
    """From the same runs, their FLOPs counted under another convention."""

    convention: str
    largest_adjustment: float
    """Largest factor between a run's compute and its cell's common compute; 1 where the runs match."""
    excluded_arms: tuple[str, ...]
    """Arms without a frontier, whose runs cannot be adjusted to a common compute."""


class EdgeResult(Refit):
    """From the same runs, scored on windows with other edges."""

    edge: str


class GateResult(Refit):
    """With another gate on cells: how far below its unigram model a minimum must be to be used."""

    gate_bpb: float


class RepeatResult(Refit):
    """From the runs of one repeat of the study alone."""

    repeat: int
    """As `RunRow.repeat`."""
    runs: int
    """Its finished runs."""


class RepeatSpread(FrozenModel):
    """How far the repeats of a study differ in one estimated headline, each repeat fitted alone.

    The intervals do not include this spread: it is a check of them.
    """

    name: EstimandName
    """overhead or interaction."""
    objective: str
    """As in `Estimand`."""
    arms: tuple[str, ...]
    """As in `Estimand`."""
    form: Form | Literal["minima"]
    at_bpb: float
    """Loss that the headline and all values are evaluated at."""
    repeats: int
    """Repeats in which it is an estimate: neither a bound nor an extrapolation."""
    values: tuple[float, ...]
    """Of these repeats, by rising number: a ratio of compute or, of an interaction, a natural log."""
    sd_ln: float | None = None
    """Standard deviation of ln k or of I over the repeats, with n - 1; None for fewer than two."""
    within: int
    """Number of `values` inside the 95 % interval of all repeats together, as the claim states it."""


Gain = Literal["order gain", "slack"]
"""What another likelihood of a masked model is compared for: a deterministic unmasking rule with the NELBO (order
gain), or a log-mean-exp bound over K orders with the NELBO (slack)."""


class LikelihoodGain(FrozenModel):
    """NELBO less another likelihood of the same model on the same windows: positive where the other is lower."""

    arm: str
    budget_flops: float
    run: str
    """The best size of the cell."""
    gain: Gain
    likelihood: str
    """`left`, `confidence`, `margin`, `orders:8`, ..."""
    chosen: bool
    """The one of its kind with the lowest nats over the arm's validation scores; it is used in `ExplainedShare`."""
    gain_bpb: Quantity
    """With errors paired by document; where nats of documents are not recorded, from the estimates' own errors."""
    documents: int
    """Documents that the interval is from; 0 where it is from the estimates' own standard errors."""
    windows: int


class ExplainedShare(FrozenModel):
    """How much of an interaction another likelihood of the masked arms explains: 1 - I_other(L) / I_NELBO(L)."""

    gain: Gain
    likelihoods: FrozenDict[str, str]
    """Likelihood of each masked arm."""
    arms: tuple[str, ...]
    """As in `Estimand`."""
    form: Form
    at_bpb: float
    interaction: Quantity
    """Under the NELBO."""
    other_interaction: Quantity
    """Under the other likelihood."""
    share: Quantity
    label: Label
    """`estimated` where both interactions are; else `extrapolated`."""


class Likelihoods(FrozenModel):
    """Other likelihoods of masked arms."""

    gains: tuple[LikelihoodGain, ...]
    shares: tuple[ExplainedShare, ...]


class GapClosed(FrozenModel):
    """How much of an overhead a variant closes, 1 - ln k_v(L) / ln k(L), both from the same draws."""

    arms: tuple[str, str, str, str]
    """The variant and the arm that it is compared with, the plain arm and the arm that it is compared with."""
    at_bpb: float | None = None
    """The middle of the losses that all of them were observed at, or the plain pair; None where there is none."""
    form: Form | None = None
    """Of the frontiers that the quantities are from; None where it is not known."""
    forms: int = 0
    """Number of forms that `ci95` covers."""
    ln_overhead: Quantity | None = None
    """ln k_v(L)."""
    plain_ln_overhead: Quantity | None = None
    """ln k(L)."""
    closed: Quantity | None = None
    ci95: tuple[float, float] | None = None
    """Covers the intervals of all forms."""
    bound: Literal["", ">", "<"] = ""
    """Side of a bound: the true share is above or below `closed`."""
    executed: "GapClosed | None" = None
    """At the same loss, under the FLOPs that the training step executes."""


class NoiseLevel(FrozenModel):
    """Noise of log BPB about the IsoFLOP curves, of arms of one objective."""

    objective: str
    permutations: tuple[str, ...]
    """The permutations of those arms."""
    pooled: bool
    """Whether these are all permutations of the objective: Bartlett's test at 5 % does not tell their noise apart."""
    residual_sd: float
    """Standard deviation of log BPB between equal runs of one cell and seed, evaluation error included."""
    dof: int
    """Degrees of freedom of `residual_sd`."""
    seed_effect_sd: float
    """Standard deviation of what the runs of a cell share that share a seed."""
    seed_effect: Literal["none", "estimated", "assumed"]
    """`none`: every run has a seed of its own; `estimated` from cells of several seeds; `assumed` where there are too
    few of them."""


class NgramBaseline(FrozenModel):
    """Loss of a tokenizer's unigram and bigram models on the same test windows."""

    tokenizer: str
    vocab_size: int
    unigram_bpb: float
    bigram_bpb: float


CurvatureForm = Literal["shared", "linear", "own"]
"""Curvatures of an arm's IsoFLOP curves: one for all budgets, a linear function of ln C, or each budget its own."""


class Fit(Record):
    """All estimates and conclusions of a study's runs."""

    inputs_sha256: str
    """Hash of the rows, the seed and the options that it was made from."""
    convention: str
    """How FLOPs are counted."""
    bootstraps: int
    """Number of bootstrap draws."""
    noise_log_bpb: FrozenDict[str, float]
    """Residual standard deviation of log BPB about the IsoFLOP curves, by objective; by objective and permutation where
    permutations differ in noise."""
    noise: tuple[NoiseLevel, ...] = ()
    """The same in full, with the effect of seeds."""
    curvature: FrozenDict[str, CurvatureForm] = FrozenDict()
    """Which curvatures the IsoFLOP curves of each arm of at least two budgets have."""
    skew: FrozenDict[str, Quantity] = FrozenDict()
    """d of ln BPB = a + b x + c x^2 + d x^3, x = ln N about the cell's mean, of each arm whose curves have one."""
    ngram_baselines: tuple[NgramBaseline, ...]
    cells: tuple[Cell, ...]
    frontiers: tuple[Frontier, ...]
    estimands: tuple[Estimand, ...]
    loss_differences: tuple[LossDifference, ...] = ()
    """Of arms that share a budget with masked diffusion of their tokenizer, and of the pairs in [fit] losses."""
    by_convention: tuple[ConventionResult, ...] = ()
    """The headlines under each convention that all runs have counts under, the fit's own first."""
    margin: float | None = None
    """Ratio of compute that the study set in advance as equivalent."""
    separate_laws: SeparateLaws | None = None
    """None where fewer than two arms have a frontier."""
    slopes: tuple[SlopePair, ...] = ()
    """The pairs of arms that the study's [fit] table names."""
    slopes_not_below: tuple[ExponentNotBelow, ...] = ()
    """Likewise, of the one-sided test."""
    gaps_closed: tuple[GapClosed, ...] = ()
    """Those that the study's [fit] table names."""
    by_edge: tuple[EdgeResult, ...] = ()
    """The headlines under each edge of the scoring windows that all runs were scored under, the study's own first."""
    by_gate: tuple[GateResult, ...] = ()
    """The headlines under other gates."""
    by_repeat: tuple[RepeatResult, ...] = ()
    """The headlines from each repeat's runs alone; empty where the study has one repeat."""
    repeat_spread: tuple[RepeatSpread, ...] = ()
    """Of each overhead and interaction that a claim states as an estimate; empty where `by_repeat` is."""
    likelihoods: Likelihoods | None = None
    """None where no run has other likelihoods."""
    held_out_documents: int | None = None
    """Test documents; None where the rows do not say."""
    claims: tuple[Claim, ...] = ()
    """The conclusions: overheads under AR, under MDM, interactions, parities; then those about permutations and other
    objectives, and `slopes`."""
    identified: bool
    """Whether there is a claim on the interaction of MDM over AR, and all such claims are estimates."""
    verdict: tuple[str, ...]
    """The claims in English, for readers only; it opens with the number of held-out documents if that is small."""
    warnings: tuple[str, ...]
