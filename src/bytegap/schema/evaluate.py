"""baselines.json, lm-eval.json, and what `bytegap evaluate --json` prints."""

from typing import Literal

from bytegap.schema.base import FrozenDict, FrozenModel, Record


class Compressed(FrozenModel):
    """A text compressed by one compressor."""

    compressor: str
    """Its command, such as `xz -9e`."""
    scope: Literal["windows", "text"]
    """Each window by itself, in the shortest form that the format allows; or the text as one file."""
    prime_bytes: int
    """Training text known to both sides: its last so many bytes; 0: none."""
    bytes: int
    """Compressed."""
    bpb: float


class Baselines(Record):
    """baselines.json: general-purpose compressors on the test windows."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from."""
    windows: int
    bytes: int
    """Of the windows' text."""
    windows_sha256: str
    versions: FrozenDict[str, str]
    """Of the compressors' libraries, where they state one."""
    compressed: tuple[Compressed, ...]


class LikelihoodError(FrozenModel):
    """How precise the estimated likelihoods of a task are."""

    requests: int
    """Number of likelihoods."""
    mc_passes: int
    """Independent passes of each estimate; 1 where the likelihood is exact, whose errors are 0."""
    mean_se_nats: float
    """Standard error of a log-likelihood, averaged over the requests."""
    bits_per_byte_se: float | None = None
    """Standard error of the task's bits per byte, where the task reports them."""


class LmEvalTask(FrozenModel):
    """One model's results on one task of lm-evaluation-harness, or one group of tasks."""

    model: str
    """As the task file names it."""
    weights_sha256: str
    """Over the model's weight files."""
    requested: str
    """Name of the task or group in the task file."""
    name: str
    """The model's name for people to read."""
    exact: bool
    """Whether the model's likelihoods are exact, not estimated bounds."""
    metrics: FrozenDict[str, FrozenDict[str, float | None]]
    """By task and `METRIC,FILTER`, as lm-evaluation-harness reports them; None: not a finite number."""
    examples: FrozenDict[str, int]
    """Number of examples, by task."""
    shots: FrozenDict[str, int]
    """Number of few-shot examples, by task."""
    versions: FrozenDict[str, str]
    """Of the tasks."""
    likelihood_error: FrozenDict[str, LikelihoodError]
    """By task; tasks that only generate text have none."""


class LmEvalResults(Record):
    """lm-eval.json: models on downstream tasks."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from."""
    tasks: tuple[LmEvalTask, ...]


class TextNumbers(FrozenModel):
    """Scores of some files together."""

    bits_per_byte: float
    """Over the files' own bytes, EOS charged; for a masked model an upper bound."""
    se: float
    """Standard error of `bits_per_byte`; 0 where the likelihood is exact."""
    bytes: int
    tokens: int
    """EOS of each file included."""
    sequences: int
    """That the files were cut into."""
    eos_bits: float
    """Bits of the EOS of all files, which `bits_per_byte` includes."""


class FileNumbers(TextNumbers):
    """Scores of one file."""

    file: str


class ClassNumbers(FrozenModel):
    """Scores of the bytes of one class."""

    bits_per_byte: float
    bytes: int


class CorruptedNumbers(TextNumbers):
    """Scores of the files under one corruption."""

    increase: float
    """Bits per byte more than without the corruption."""


class Corruption(FrozenModel):
    """Scores under corruption of the files."""

    rate: float
    """Share of the bytes that are corrupted."""
    entropy: float
    """Entropy of which bytes are corrupted, in bits per byte: what a perfect model would lose at most."""
    scores: FrozenDict[str, CorruptedNumbers]
    """By corruption: delete, transpose, case_flip."""


class Utf8Validity(FrozenModel):
    """How much of generated text is valid UTF-8; a code point that the end of a text cuts counts as valid."""

    texts: int
    bytes: int
    valid_texts: int
    valid_bytes: int


class LengthMassNumbers(FrozenModel):
    """The probability of all token sequences of n bytes together."""

    bytes: int
    """n."""
    log_mass: float | None
    """ln Z(n), nats; None where no sample can have n bytes."""
    log_mass_se: float
    samples: int
    """Of each token count."""
    token_counts: tuple[int, int]
    """Least and largest number of tokens that was summed over; of an autoregressive model, that is possible."""


class Evaluation(FrozenModel):
    """What `bytegap evaluate --json` prints."""

    model: str
    exact: bool
    """Whether the likelihood is exact, not an estimated bound."""
    mc_passes: int
    """Monte Carlo passes; 1 where the likelihood is exact, K of `orders:K`."""
    seq_len: int
    """Tokens of a sequence, BOS not counted."""
    stride: int | None = None
    """Tokens that each sequence scores, after those it is given; None: sequences do not overlap."""
    likelihood: str = "nelbo"
    """That was scored: `nelbo`, or `exact` where the objective's likelihood is, or an unmasking rule, or `orders:K`."""
    files: tuple[FileNumbers, ...] = ()
    total: TextNumbers | None = None
    """Of all files; None where only samples were asked for."""
    by_script: FrozenDict[str, ClassNumbers] = FrozenDict()
    """By script of the letter, or kind of character, the most frequent first."""
    by_utf8_role: FrozenDict[str, ClassNumbers] = FrozenDict()
    """By role of the byte in UTF-8."""
    corruption: Corruption | None = None
    samples: Utf8Validity | None = None
    """Of texts generated by the model."""
    length_mass: LengthMassNumbers | None = None
