"""Every file on disk, as a frozen pydantic model: schema version, content hash, unknown keys rejected.

Long on purpose: the whole contract between stages in one place, in the order of the road, and no logic.

corpus/manifest.json    CorpusManifest      tokens/NAME/manifest.json  TokensManifest
tokens/windows.json     WindowsManifest     controls.json              Controls
plan.json               Plan
runs/ID/spec.json       RunSpec             runs/ID/record.json        RunRecord
runs/ID/timings.json    Timings             runs.jsonl                 RunRow, one a line
jobs.json               Jobs
fit.json                Fit                 audit.json                 Audit
probe.json              Probe               baselines.json             Baselines
harness.json            Harness
"""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bytegap.plugins import label

SCHEMA_VERSION = 1
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Of a file or folder: it leads nowhere else."""


def digest(value: Any) -> str:
    """SHA-256 of `value` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Part(BaseModel):
    """A piece of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Record(Part):
    """A whole file."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Of the file's form; 1 so far."""

    @property
    def content(self) -> str:
        """SHA-256 of everything in it."""
        return digest(self.model_dump(mode="json"))


class ArrayFile(Part):
    """A raw little-endian array beside the manifest that names it."""

    file: str = Field(pattern=PLAIN_NAME)
    dtype: Literal["uint8", "uint16", "uint32", "uint64"]
    length: int
    sha256: str


class Quantity(Part):
    """A number with its 95 % interval; None where the runs do not give one."""

    value: float | None
    ci95: tuple[float, float] | None = None


# -- corpus ---------------------------------------------------------------------------------------


class Split(Part):
    """One split's text: documents end to end, and where each ends (bytes)."""

    text: ArrayFile
    ends: ArrayFile
    documents: int
    bytes: int


SplitName = Literal["train", "validation", "test"]


class CorpusManifest(Record):
    """What text was prepared, from where, and into which splits."""

    inputs: str
    source: str
    documents_read: int
    duplicates_dropped: int
    empty_dropped: int
    splits: dict[SplitName, Split]


# -- tokens ---------------------------------------------------------------------------------------


class TokensManifest(Record):
    """The training split under one tokenizer: documents end to end, EOS after each."""

    inputs: str
    name: str
    kind: str
    vocabulary: int
    """V, symbols that stand for text. EOS = V, BOS = V + 1, MASK = V + 2; the model has V + 3 ids."""
    stream: ArrayFile
    lengths: ArrayFile
    """Bytes of each of the V symbols."""
    bytes: int
    symbols: int
    """Of the stream, EOS included."""
    escaped_bytes: int
    """Bytes that the vocabulary's own segmentation could not carry, written as single-byte symbols."""

    @property
    def bytes_per_symbol(self) -> float:
        """Mean over the training stream, EOS included."""
        return self.bytes / self.symbols


class ScoringSet(Part):
    """The scoring windows of one split as one arm's symbols, window after window."""

    symbols: ArrayFile
    counts: ArrayFile
    unigram_bpb: float
    bigram_bpb: float
    count_entropy_bpb: float
    """H(S | bytes) in bits per byte: the most that being told the symbol count can be worth."""


class ScoringSplit(Part):
    """The windows of one held-out split: the same text for every tokenizer."""

    ends: ArrayFile
    """Byte offset, in the split's text, at which each window ends."""
    windows: int
    bytes: int
    sha256: str
    """Of the windows' text and ends."""
    tokens: dict[str, ScoringSet]


class WindowsManifest(Record):
    """Row lengths and scoring windows, common to all tokenizers of a study."""

    inputs: str
    context_bytes: int
    row_symbols: dict[str, int]
    splits: dict[Literal["validation", "test"], ScoringSplit]


# -- controls -------------------------------------------------------------------------------------


class Control(Part):
    """What an order does to the bytes of a symbol set's training text, rows end to end, beside the text unchanged."""

    tokens: str
    order: str
    bytes: int
    bytes_per_symbol: float
    """Turns a window of symbols into bytes, on average."""
    same_histogram: bool
    distances: list[int]
    information_bits: list[float]
    """I(d) between bytes d apart, shuffle-corrected."""
    pairs_kept: list[float]
    """Share of the pairs at each distance that the text unchanged has as well, each as often."""
    local_bits: float
    """Sum of I(d) up to d = 4."""
    local_kept: float
    """Over that of the text unchanged."""
    added_bits_per_symbol: float
    """What the order itself adds at most; 0 where it is one for all."""


class Controls(Record):
    """Every order of a study, for every symbol set that has it."""

    inputs: str
    controls: list[Control]


# -- plan -----------------------------------------------------------------------------------------


class Numerics(Part):
    """How arithmetic is done: the same for every arm."""

    device: str
    dtype: str
    threads: int
    attention: str
    compile: bool | Literal["graphs"]
    """Graphs: compiled, and on a GPU recorded once and played back with a single launch."""


class Optimiser(Part):
    """AdamW and its schedule, resolved."""

    learning_rate: float
    warmup_steps: int
    decay: Literal["linear"]
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    clip_norm: float


class RunSpec(Record):
    """One training run, every number resolved; its hash is its id."""

    arm: str
    tokens: str
    objective: str
    objective_options: dict[str, Any]
    order: str
    order_options: dict[str, Any]
    model: str
    shape: dict[str, Any]
    embedding_parameters: int
    head_parameters: int
    non_embedding_parameters: int
    budget_flops: float
    row_symbols: int
    rows_per_batch: int
    steps: int
    symbols: int
    """D = steps x rows x symbols a row: BOS not counted."""
    bytes: int
    epochs: float
    flops: float
    """Planned, under the default convention."""
    flops_by_convention: dict[str, float]
    optimiser: Optimiser
    seed: int
    evaluation_passes: int
    numerics: Numerics
    tokens_content: str
    windows_content: str

    @property
    def id(self) -> str:
        """The run's name: twelve hex digits of its content hash."""
        return self.content[:12]

    @property
    def planned(self) -> dict[str, Any]:
        """What a `RunRow` takes over from the plan."""
        shared = self.model_dump(include=RunRow.model_fields.keys() & RunSpec.model_fields.keys() - {"schema_version"})
        return shared | {
            "run": self.id,
            "objective": label(self.objective, self.objective_options),
            "order": label(self.order, self.order_options),
            "width": self.shape["width"],
            "depth": self.shape["depth"],
            "batch_symbols": self.rows_per_batch * self.row_symbols,
            "learning_rate": self.optimiser.learning_rate,
        }


class TuningRun(Part):
    """A run of the tuning audit: what the rule says, but for a factor on learning rate or batch, or the seed."""

    rate: float
    """log2 of the learning rate over the rule's."""
    batch: float
    """log2 of the batch over the rule's, as asked for: batches are whole rows."""
    spec: RunSpec


class Plan(Record):
    """Every run of a study, frozen before anything is spent; `rounds` counts extensions of the grid."""

    inputs: str
    study: str
    workers: int
    rounds: int
    runs: list[RunSpec]
    tuning: list[TuningRun] = []
    """The tuning audit's, which no fit sees; where the rule itself is the best of its cell, that run is in both."""

    @property
    def specs(self) -> list[RunSpec]:
        """All that is to be trained, each once."""
        return list({spec.id: spec for spec in [*self.runs, *(run.spec for run in self.tuning)]}.values())


# -- train ----------------------------------------------------------------------------------------


class Score(Part):
    """A split scored: nats in float64, bytes counted once."""

    nats: float
    nats_se: float
    """Standard error of the estimator over its independent passes; 0 where it is exact."""
    bytes: int
    bpb: float
    bpb_se: float
    windows_sha256: str


class Spread(Part):
    """How a per-step quantity was spread over the run."""

    mean: float
    median: float
    p95: float
    largest: float


class RunRecord(Record):
    """What a run really did; timings are in a file of their own."""

    run: str
    status: Literal["finished", "failed"]
    reason: str = ""
    steps: int = 0
    supervised_symbols: int = 0
    """Loss-bearing positions over the whole run."""
    counted_step_flops: float = 0.0
    """One real step by torch's counter, head at every position; 0, as what follows, where memory did not suffice."""
    counted_supervised_step_flops: float = 0.0
    """The same step as shipped, head at the supervised positions."""
    analytic_supervised_step_flops: float = 0.0
    """What the formulas say of that step."""
    spent_flops: float = 0.0
    """counted_step_flops x steps."""
    gradient_norm: Spread | None = None
    clipped_steps: int = 0
    update_rms: dict[str, float] = {}
    """Root mean square of the middle step's update by parameter group, over the group's weight RMS."""
    loss_curve: list[tuple[int, float]] = []
    """(step, training loss in nats a symbol), means over stretches of steps."""
    validation: Score | None = None
    test: Score | None = None
    weights_sha256: str = ""
    compile_error: str = ""
    """Of a run planned compiled: the step from which it was computed eagerly, and the first line of why; else empty."""


class Timings(Record):
    """Where the time of a run went; the only record that differs between equal runs."""

    run: str
    train_s: float
    checkpoint_s: float | None = None
    """Of train_s, in which checkpoints were written; None where it was not measured yet."""
    evaluate_s: float
    symbols_per_s: float
    flops_per_s: float
    started: str
    host: str


class Job(Part):
    """A run's last job on a cluster."""

    job: str
    log: str


class Jobs(Record):
    """By run id."""

    jobs: dict[str, Job]


# -- runs -----------------------------------------------------------------------------------------


class RunRow(Record):
    """One finished or failed run, all that a fit needs: `runs.jsonl`, a checksum a line, is refittable alone."""

    run: str
    """Its id: twelve hex digits of the hash of all that was planned of it; the folder `runs/ID`."""
    status: Literal["finished", "failed"]
    """`finished`, or `failed`: then with a reason and without scores."""
    reason: str
    """Why it failed; empty where it did not."""
    arm: str
    """As the study names it."""
    tokens: str
    """The arm's symbol set, as the study names it."""
    tokens_kind: str
    """The plug-in behind it: `bytes`, `bpe`, ..."""
    objective: str
    """`ar`, `mdm`, ...; its options in brackets, if it was given any."""
    order: str
    """What was done to the order of symbols; `identity` is nothing."""
    model: str
    """The architecture."""
    vocabulary: int
    """V, symbols that stand for text; the model has V + 3 ids."""
    context_bytes: int
    """Text of a scoring window at most, and of a training row on average."""
    width: int
    """Of the model's residual stream."""
    depth: int
    """Layers."""
    non_embedding_parameters: int
    """N: neither the embedding nor the head."""
    embedding_parameters: int
    """(V + 3) x width, and a table of places where the objective wants one."""
    head_parameters: int
    """Not shared with the embedding."""
    budget_flops: float
    """Training FLOPs that the study gave to all runs of the cell."""
    flops: float
    """Planned training FLOPs of this run, within 1 % of the budget, under the default convention."""
    flops_by_convention: dict[str, float]
    """The same run counted otherwise, by the convention's name."""
    spent_flops: float
    """Training FLOPs as torch's counter has them; 0 where a run failed before it was counted."""
    symbols: int
    """D, symbols trained on: BOS not counted."""
    bytes: int
    """Of text trained on."""
    epochs: float
    """Times that the training text was seen."""
    steps: int
    """Of the optimiser, planned."""
    batch_symbols: int
    """Symbols a step."""
    learning_rate: float
    """At its peak."""
    seed: int
    """What everything random in the run derives from."""
    bpb: float | None
    """Test bits per byte; exact for `ar`, else a bound's estimate; none where the run failed."""
    bpb_se: float | None
    """Standard error of that estimate; 0 where it is exact."""
    validation_bpb: float | None
    """On the validation split."""
    unigram_bpb: float
    """Of the symbol set's unigram model on the test split."""
    bigram_bpb: float
    """Of its bigram model."""
    windows_sha256: str
    """Of the scoring windows' text: equal for all runs that may be compared."""


class AuditRow(Part):
    """One run's plan and record held against each other."""

    run: str
    arm: str
    budget_flops: float
    planned_flops: float
    spent_flops: float
    ratio: float
    """Spent over planned."""
    supervised_per_step: float
    """Loss-bearing positions a step."""
    epochs: float
    gradient_norm_median: float | None
    clipped_fraction: float
    """Of the steps."""
    update_rms_body: float | None
    """Root mean square of the body's last update, over the RMS of its weights."""
    windows_sha256: str


class TuningRow(Part):
    """What the rule for learning rate and batch loses at one budget of one arm, in validation BPB."""

    arm: str
    budget_flops: float
    non_embedding_parameters: int
    rates: list[tuple[float, float]]
    """(factor on the rule's learning rate, BPB), the rule's batch."""
    batches: list[tuple[float, float]]
    """(factor on the rule's batch in symbols, BPB), the rule's learning rate."""
    best_rate: Quantity
    """The factor at the parabola's lowest point."""
    best_batch: Quantity
    bracketed: bool
    """Whether the best of either axis has a worse neighbour on both sides."""
    seed_log_bpb: float | None
    """Standard deviation of log BPB between seeds, pooled over the points."""
    lost_bpb: Quantity
    lost_compute: Quantity
    """Share of the budget that the loss is worth along the arm's own frontier: 0.1 = a tenth of its compute."""


class Audit(Record):
    """What every run was meant to spend and what it did, equal optimisation and equal text shown in numbers."""

    inputs: str
    runs: list[AuditRow]
    tuning: list[TuningRow] = []
    summary: list[str]
    warnings: list[str]


# -- probe ----------------------------------------------------------------------------------------


class Probed(Part):
    """A line of a probe: which run was asked."""

    run: str
    arm: str
    budget_flops: float
    non_embedding_parameters: int


class Segmentation(Probed):
    """How well a byte model's entropy or surprisal tells where symbols of another set, or words, begin."""

    given: str
    """`next byte`, `left context` or `mask 0.5`, by what the model saw."""
    boundary: str
    """`word`, or the symbol set's name."""
    signal: str
    auc: float
    average_precision: float
    best_f1: float
    base_rate: float
    """What average precision is by chance; F1 is then 2 p / (1 + p), and AUC 0.5."""
    positions: int


class Fragility(Probed):
    """Loss on a hidden byte by how many of its neighbours are to be seen, the share hidden being the same."""

    out_of_distribution: bool
    mask_ratio: float | None
    """None for AR, of whose history as many bytes are hidden as neighbours are in question."""
    reach: int
    """Neighbours lie within so many bytes: to both sides, for AR before."""
    visible: list[int]
    nats: list[float]
    nats_se: list[float]
    nats_a_neighbour: float
    """Slope of a line through all of them: nats lost with each neighbour."""
    nats_a_neighbour_se: float


class Reconstruction(Probed):
    """Words guessed back when k of their n bytes are hidden and all else is to be seen."""

    pattern: Literal["scattered", "contiguous"]
    hidden: int
    words: int
    nats_a_byte: float
    nats_a_byte_se: float
    all_right: float
    """Share of words whose every hidden byte is the likeliest."""


class Semantics(Probed):
    """How often a linear probe reads the word, or the symbol of another set, off the states at a byte's position."""

    given: str
    """`all up to it` or `mask 0.5`, by what the model saw."""
    mask_ratio: float | None
    at: Literal["visible", "hidden"]
    """Which bytes' positions."""
    label: str
    """`word`, or the symbol set's name."""
    labels: int
    """How many the probe tells apart."""
    chance: float
    """What always answering the commonest would get."""
    accuracy: list[float]
    """After each layer, on windows that the probe was not fitted on; the first is the embeddings'."""
    positions: int


class ContextLoss(Probed):
    """Loss on a byte by how many bytes before it an AR model is given, in the order it was trained in."""

    lengths: list[int]
    nats: list[float]
    nats_se: list[float]
    effective: int
    """The least length whose loss is within 1 % of the longest's."""


class Probe(Record):
    """What finished byte models know of tokens, words and neighbours."""

    inputs: str
    windows: int
    segmentation: list[Segmentation]
    fragility: list[Fragility]
    reconstruction: list[Reconstruction]
    semantics: list[Semantics]
    context: list[ContextLoss]


# -- evaluate -------------------------------------------------------------------------------------


class Compressed(Part):
    """A text as one compressor packs it."""

    compressor: str
    """By the name of its command: `xz -9e`."""
    of: Literal["windows", "text"]
    """Every window by itself, in the least that the format allows; or the whole text as one file."""
    prime_bytes: int
    """Training text that both sides have read before, the last so many bytes of it; 0: none."""
    bytes: int
    """Compressed."""
    bpb: float


class Baselines(Record):
    """What compressors make of the test windows."""

    inputs: str
    windows: int
    bytes: int
    """Of the windows' text."""
    windows_sha256: str
    versions: dict[str, str]
    """Of the libraries behind the compressors that say theirs."""
    compressed: list[Compressed]


# -- harness --------------------------------------------------------------------------------------


class Estimated(Part):
    """How sure a task's likelihoods are, their estimates alone."""

    requests: int
    passes: int
    """Independent ones; of an exact likelihood one, whose errors are 0."""
    mean_se_nats: float
    """Standard error of a request's log-likelihood, its mean over requests."""
    bits_per_byte_se: float | None = None
    """Of the whole task's text, where that is what is scored."""


class HarnessTask(Part):
    """A model's answer to what was asked: a task of lm-evaluation-harness, or a group of them."""

    model: str
    """As the file that asked names it."""
    weights: str
    """SHA-256 over its weights' files."""
    asked: str
    name: str
    exact: bool
    """Whether its likelihoods are; else they are estimated bounds."""
    metrics: dict[str, dict[str, float | None]]
    """By task and `METRIC,FILTER`, as the harness has them; None: no finite number."""
    questions: dict[str, int]
    shots: dict[str, int]
    versions: dict[str, str]
    """Of the tasks."""
    estimate: dict[str, Estimated]
    """By task; none of those that only draw."""


class Harness(Record):
    """What models make of downstream tasks."""

    inputs: str
    tasks: list[HarnessTask]


# -- fit ------------------------------------------------------------------------------------------


class Cell(Part):
    """One arm at one budget: runs of several sizes, the parabola through them, its minimum."""

    arm: str
    budget_flops: float
    runs: list[str]
    parameters: list[int]
    """Non-embedding, one a run."""
    symbols: list[int]
    bpb: list[float]
    bpb_se: list[float]
    optimum_parameters: Quantity
    optimum_symbols: Quantity
    optimum_bpb: Quantity
    curvature: Quantity
    """Of BPB in (ln N)^2; the minimum is bracketed where its interval lies above 0 and the optimum within the sizes."""
    bracketed: bool
    learns_context: bool
    """Optimum at least 0.5 BPB below the symbol set's own unigram."""
    in_frontier: bool
    note: str
    curve: list[tuple[float, float]]
    """(N, BPB) along the parabola, to draw."""


Form = Literal["no floor", "shared floor", "own floor"]
"""Of a frontier."""


class Frontier(Part):
    """L(C) = E + A C^-g of one arm through its cells' minima."""

    arm: str
    form: Form
    floor_bpb: Quantity
    amplitude: Quantity
    exponent: Quantity
    flops_observed: tuple[float, float]
    bpb_observed: tuple[float, float]
    """Lowest and highest fitted BPB within the observed budgets."""
    curve: list[tuple[float, float, float, float]]
    """(C, BPB, low, high) within the observed budgets, to draw."""


Label = Literal["estimated", "censored", "extrapolated"]


class Estimand(Part):
    """One answer: what, of which arms, where, how much, and how it is known."""

    name: Literal["overhead", "interaction", "gap", "slope", "parity"]
    objective: str
    """Of the pair of arms, and a changed order; for an interaction `mdm - ar`, `ar, fixed - identity`."""
    arms: list[str]
    form: Form | Literal["minima"]
    """Of the frontiers; `minima` where it is those of two cells that are compared."""
    at_bpb: float | None = None
    at_flops: float | None = None
    quantity: Quantity
    """overhead: a ratio; interaction: natural log; gap: BPB; slope: d log k / d log C; parity: FLOPs.
    Where censored, `value` is the bound and `bound` its side."""
    ci90: tuple[float, float] | None = None
    """Of an estimated overhead or interaction: within the margin it is two one-sided tests at 5 %."""
    bound: Literal["", ">", "<"] = ""
    pure_shift: Quantity | None = None
    """Of an interaction at equal compute: what it would be were MDM only AR at a constant multiple of compute."""
    label: Label
    headline: bool = False


class Recount(Part):
    """The headline questions, asked of the same runs with their compute counted otherwise."""

    convention: str
    bootstraps: int
    """Fewer than the fit's own: an interval to stand beside, not to quote."""
    largest_move: float
    """Furthest that a run's compute was from its cell's common one, as a factor; 1 where the runs match."""
    cells_in_frontier: int
    estimands: list[Estimand]
    """At the losses and in the forms of the fit's headlines; parity beside."""
    left_out: list[str]
    """Arms without a frontier, whose runs cannot be moved to a common compute."""


SharedBy = Literal["all", "objective", "symbol set", "arm"]


class NestedModel(Part):
    """ln(L - E) = ln A - g ln C, A of each arm, g shared by all arms, those of one objective or symbol set, or none."""

    shared_by: SharedBy
    exponents: int
    """How many g."""
    chi_square: float
    """Of the cells' minima, over their own deviations."""
    freedom: int
    """Minima less parameters."""
    floor_bpb: float
    """E, of all arms; 0 in the form without a floor."""
    p_value: float | None
    """Against one exponent an arm, by parametric bootstrap; None for that model itself."""


class SeparateLaws(Part):
    """Whether arms need frontiers of separate exponents: models from the simplest on."""

    form: Literal["no floor", "shared floor"]
    arms: list[str]
    models: list[NestedModel]
    simplest: SharedBy
    """The one of fewest exponents that is not rejected at 5 %."""


class SlopePair(Part):
    """Whether two arms' frontiers are equally steep, g of L = A C^-g, within a margin named beforehand."""

    arms: tuple[str, str]
    margin: float
    """Of g."""
    exponents: tuple[Quantity, Quantity] | None = None
    """None where an arm has no frontier."""
    difference: Quantity | None = None
    """The first arm's exponent less the second's."""
    ci90: tuple[float, float] | None = None
    """Of the difference."""
    equivalent: bool = False
    """`ci90` lies within the margin to both sides: two one-sided tests at 5 %."""
    power: float | None = None
    """Chance that such a study passes the test, were the exponents the same."""
    least_margin: float | None = None
    """The margin at which the power is 80 %."""


class Floor(Part):
    """What a symbol set's unigram and bigram reach on the same test windows."""

    tokens: str
    vocabulary: int
    unigram_bpb: float
    bigram_bpb: float


class Fit(Record):
    """Everything the runs say, with intervals and labels."""

    inputs: str
    convention: str
    bootstraps: int
    noise_log_bpb: dict[str, float]
    """Residual standard deviation of log BPB about the parabolas, pooled over the cells of an objective."""
    floors: list[Floor]
    cells: list[Cell]
    frontiers: list[Frontier]
    estimands: list[Estimand]
    by_convention: list[Recount] = []
    """Headlines under every convention that the runs state, the fit's own first."""
    margin: float | None = None
    """The ratio of compute that the study named beforehand as equivalent."""
    separate_laws: SeparateLaws | None = None
    """None where fewer than two arms have a frontier."""
    slopes: list[SlopePair] = []
    """The pairs of arms that the study asks about."""
    identified: bool
    verdict: list[str]
    """Three sentences, and one for each of `slopes`."""
    warnings: list[str]
