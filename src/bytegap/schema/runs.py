"""Files of finished runs: records, timings, cluster jobs, runs.jsonl, tuning.jsonl, audit.json."""

from collections.abc import Iterable
from typing import Literal

from bytegap.schema.base import FrozenDict, FrozenJson, FrozenModel, Record, label, sha256_without_defaults
from bytegap.schema.data import Edge
from bytegap.schema.evaluate import LengthMassNumbers
from bytegap.schema.tuning import TuningRow


class Score(FrozenModel):
    """The loss on one split: nats in float64, each byte counted once."""

    nats: float
    """Sum over the split's windows."""
    nats_se: float
    """Standard error of the estimate over its independent passes; 0 where the likelihood is exact."""
    bytes: int
    bpb: float
    bpb_se: float
    windows_sha256: str
    """Of the windows' text and ends."""
    passes: int | None = None
    """Passes over the windows: 1 where the likelihood is exact; None in scores older than this field."""
    document_nats: tuple[float, ...] = ()
    """Of each document, in the split's order, the mean over passes; empty in scores older than this field."""
    document_bytes: tuple[int, ...] = ()
    """Bytes that were scored of each document."""


class RuleScore(FrozenModel):
    """A likelihood of a masked run besides its NELBO, and the NELBO of the same windows: a paired sample."""

    likelihood: str
    """`left`, `confidence` or `margin`, an unmasking rule; or `orders:K`, the bound of K random orders."""
    split: Literal["validation", "test"]
    nats: float
    """Sum over the windows."""
    nats_se: float
    """Standard error of the estimate: 0 of a rule, which is exact; of `orders:K` by the jackknife over orders."""
    nelbo_nats: float
    """Of the same windows; next to `orders:K`, the mean over the same orders."""
    nelbo_se: float
    """Standard error over its passes, or orders."""
    bytes: int
    windows: int
    """Windows scored, spread over all documents of the split."""
    unit: Literal["document", "window"] = "document"
    """What the following fields have an entry of: each document that has a scored window, or each window where the
    documents of windows are not known."""
    document_nats: tuple[float, ...] = ()
    nelbo_document_nats: tuple[float, ...] = ()
    document_bytes: tuple[int, ...] = ()


def chosen_rule(scores: Iterable[RuleScore]) -> str | None:
    """The unmasking rule with the fewest nats on validation windows; the first of equals, None if none was scored."""
    rules = [score for score in scores if score.split == "validation"]
    return min(rules, key=lambda score: score.nats).likelihood if rules else None


class RunLikelihoods(Record):
    """runs/ID/likelihoods.json: what is scored of a run besides its BPB, if it is the best of its arm and budget."""

    run: str
    """The run's id."""
    weights_sha256: str
    """Of the weights that were scored, as in the run's record."""
    scores: tuple[RuleScore, ...]
    """Of a masked run, else empty: every rule on validation windows, from which one is chosen; that one on most test
    windows, the others and `orders:K` on fewer."""
    length_mass: LengthMassNumbers | None = None
    """Of the best run of an arm at its largest budget; None of other runs, and in files older than this field."""


class Spread(FrozenModel):
    """Distribution of a per-step quantity over a run."""

    mean: float
    median: float
    p95: float
    largest: float


class RunRecord(Record):
    """runs/ID/record.json: what a run did. Times are in `Timings`, so that equal runs have equal records."""

    run: str
    """The run's id."""
    status: Literal["finished", "failed"]
    reason: str = ""
    """Why it failed."""
    steps: int = 0
    supervised_tokens: int = 0
    """Loss-bearing positions over the run."""
    counted_step_flops: float = 0.0
    """FLOPs of one training step by torch's counter, head at every position. This and the two following fields are 0
    where memory did not suffice to count."""
    counted_supervised_step_flops: float = 0.0
    """FLOPs of the same step with the head at the supervised positions only, as it is executed."""
    analytic_supervised_step_flops: float = 0.0
    """FLOPs of that step by formula."""
    spent_flops: float = 0.0
    """counted_step_flops x steps."""
    gradient_norm: Spread | None = None
    clipped_steps: int = 0
    """Steps whose gradient norm was clipped."""
    update_rms: FrozenDict[str, float] = FrozenDict()
    """RMS of the middle step's update over the RMS of the weights, by parameter group."""
    loss_curve: tuple[tuple[int, float], ...] = ()
    """(step, training loss in nats per token), each the mean over a stretch of steps."""
    validation: Score | None = None
    test: Score | None = None
    test_by_edge: FrozenDict[Edge, Score] = FrozenDict()
    """The test text in windows that end elsewhere than the study's; an estimate takes fewer passes than `test`.
    Empty in records older than this field."""
    weights_sha256: str = ""
    """Of weights.safetensors."""
    compile_error: str = ""
    """Of a run planned compiled: the step from which it was computed eagerly, and the error; empty if there was
    none."""


class Timings(Record):
    """runs/ID/timings.json: where the time of a run went; the only record that differs between equal runs."""

    run: str
    train_s: float
    checkpoint_s: float | None = None
    """Part of `train_s` in which checkpoints were written; None in runs older than this field."""
    evaluate_s: float
    tokens_per_s: float
    flops_per_s: float
    started: str
    """ISO 8601, in whole seconds."""
    host: str


class Job(FrozenModel):
    """A run's last job on a cluster."""

    job: str
    """The scheduler's id."""
    log: str
    """Path of its log."""


class Jobs(Record):
    """jobs.json: the last job of each run, by run id."""

    jobs: FrozenDict[str, Job]


class RunRow(Record):
    """One run, finished or failed, with all that a fit needs: a line of runs.jsonl."""

    run: str
    """The run's id: twelve hex digits of the hash of its plan; its folder is `runs/ID`."""
    status: Literal["finished", "failed"]
    """`finished`, or `failed`: then `reason` is given and there are no scores."""
    reason: str
    """Why the run failed; empty where it finished."""
    arm: str
    """The arm's name in the study."""
    tokenizer: str
    """The tokenizer's name in the study."""
    tokenizer_kind: str
    """Kind of tokenizer: `bytes`, `bpe`, ..."""
    objective: str
    """Name of the objective: `ar`, `mdm`, ..."""
    objective_options: FrozenDict[str, FrozenJson]
    """The options that the study gives it."""
    tight_likelihood: bool
    """Whether the likelihood is exact, or a bound that a perfect model attains: only such arms may share an irreducible
    loss."""
    permutation: str
    """Name of the permutation of tokens; `identity` changes nothing."""
    permutation_options: FrozenDict[str, FrozenJson]
    """The options that the study gives it."""
    model: str
    """Name of the architecture."""
    vocab_size: int
    """V, the number of tokens that stand for text; the model has V + 3 ids."""
    context_bytes: int
    """Most bytes of text in a scoring window; the mean of a training sequence."""
    d_model: int
    """Width of the residual stream."""
    n_layers: int
    """Number of layers."""
    non_embedding_parameters: int
    """N: all parameters but those of embedding and head."""
    embedding_parameters: int
    """(V + 3) x d_model, and the target position embedding of objectives that need one."""
    head_parameters: int
    """Of the output head, which is not tied to the embedding."""
    budget_flops: float
    """Training FLOPs that the study gives to every run of the IsoFLOP cell."""
    flops: float
    """Planned training FLOPs of this run, within 1 % of the budget, under the default convention."""
    flops_by_convention: FrozenDict[str, float]
    """Planned training FLOPs under each convention."""
    spent_flops: float
    """Training FLOPs by torch's counter; 0 where a run failed before they were counted."""
    tokens: int
    """D, training tokens, BOS not counted."""
    bytes: int
    """Training text in bytes."""
    epochs: float
    """Passes over the training text."""
    steps: int
    """Planned optimizer steps."""
    batch_tokens: int
    """Tokens in a batch."""
    learning_rate: float
    """Peak learning rate."""
    seed: int
    """Seed of everything random in the run."""
    repeat: int = 0
    """Which repeat of the study the run is part of, from 0; see `[grid] studies`."""
    model_options: FrozenDict[str, FrozenJson] = FrozenDict()
    """The options that the study gives the architecture."""
    bpb: float | None
    """Test bits per byte; exact for `ar`, else the estimate of an upper bound; none where the run failed."""
    bpb_se: float | None
    """Standard error of `bpb`; 0 where it is exact."""
    validation_bpb: float | None
    """Bits per byte on the validation split."""
    unigram_bpb: float
    """Test bits per byte of the tokenizer's unigram model."""
    bigram_bpb: float
    """Test bits per byte of its bigram model."""
    windows_sha256: str
    """Hash of the scoring windows' text: runs may be compared only where it is equal."""
    mc_passes: int = 8
    """Independent passes of the estimate of `bpb`; 1 where it is exact."""
    document_nats: tuple[float, ...] = ()
    """Test nats of each document; empty where the run failed or is older than this column."""
    document_bytes: tuple[int, ...] = ()
    """Bytes that were scored of each test document."""
    edge: str = "any"
    """Where the scoring windows end: `tokens`, `words`, or `any`."""
    bpb_by_edge: FrozenDict[str, float] = FrozenDict()
    """Test bits per byte of the same text in windows that end as the name says, the row's own `edge` included."""
    document_nats_by_edge: FrozenDict[str, tuple[float, ...]] = FrozenDict()
    """The same by document, in nats."""
    likelihoods: tuple[RuleScore, ...] = ()
    """Other likelihoods of a masked run of the best size, with the NELBO of the same windows; none of other runs."""
    length_mass: LengthMassNumbers | None = None
    """ln Z(n), where Z(n) is the probability of all token sequences of n bytes together, of the arm's best run at its
    largest budget; none of other runs."""

    @property
    def content_sha256(self) -> str:
        """SHA-256 of every field, but fields of later versions that hold their defaults."""
        return sha256_without_defaults(self)

    @property
    def objective_label(self) -> str:
        """The objective with its options: `block_diffusion (size 4)`."""
        return label(self.objective, self.objective_options)

    @property
    def model_label(self) -> str:
        """The architecture with its options: `transformer (convolution 4)`."""
        return label(self.model, self.model_options)

    @property
    def permutation_label(self) -> str:
        """The permutation with its options: `within_window (size 16)`."""
        return label(self.permutation, self.permutation_options)


class TuningRunRow(RunRow):
    """One run of the tuning audit, finished or failed: a line of tuning.jsonl, which has the rule's runs as well."""

    log2_learning_rate: float
    """log2 of the learning rate over the rule's."""
    log2_batch_size: float
    """log2 of the batch size over the rule's, before rounding to full sequences; `batch_tokens` is what was used."""
    weight_decay_factor: float
    """Weight decay over the rule's; 0 is none."""
    weight_decay: float
    """Of AdamW."""


class AuditRow(FrozenModel):
    """Plan and record of one run side by side."""

    run: str
    arm: str
    budget_flops: float
    planned_flops: float
    spent_flops: float
    ratio: float
    """Spent over planned."""
    supervised_per_step: float
    """Loss-bearing positions in a step."""
    epochs: float
    gradient_norm_median: float | None
    clipped_fraction: float
    """Share of the steps whose gradient was clipped."""
    update_rms_body: float | None
    """RMS of the middle step's update over the RMS of the weights, for the layers."""
    windows_sha256: str


class Audit(Record):
    """audit.json: planned and spent compute of every run, and whether all arms were trained and scored alike."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from."""
    runs: tuple[AuditRow, ...]
    tuning: tuple[TuningRow, ...] = ()
    summary: tuple[str, ...]
    tuning_summary: tuple[str, ...] = ()
    """Sentences on `tuning`."""
    warnings: tuple[str, ...]
