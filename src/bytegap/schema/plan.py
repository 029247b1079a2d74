"""plan.json and runs/ID/spec.json: every run of a study, all numbers resolved before training."""

from typing import Literal

from bytegap.schema.base import FrozenDict, FrozenJson, FrozenModel, Record, sha256_without_defaults

ShapeValue = bool | int | float | str
"""One value of a model's shape."""


class Execution(FrozenModel):
    """How the arithmetic is executed: the same for every arm."""

    device: str
    """`cpu` or `cuda`."""
    dtype: str
    """Of activations: `float32` or `bfloat16`."""
    threads: int
    """CPU threads of each run."""
    attention: str
    """Name of the attention backend."""
    compile: bool | Literal["graphs"]
    """Whether the step is compiled; `graphs`: also captured as a CUDA graph and replayed."""


class OptimizerConfig(FrozenModel):
    """AdamW and its schedule."""

    learning_rate: float
    """At the peak."""
    warmup_steps: int
    decay: Literal["linear"]
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    clip_norm: float


class RunSpec(Record):
    """One training run with every number resolved; its content hash is its id."""

    arm: str
    tokenizer: str
    objective: str
    objective_options: FrozenDict[str, FrozenJson]
    tight_likelihood: bool
    """Whether the objective's likelihood is exact, or a bound that a perfect model attains."""
    permutation: str
    permutation_options: FrozenDict[str, FrozenJson]
    model: str
    model_shape: FrozenDict[str, ShapeValue]
    """Fields of the model family's shape, such as d_model and n_layers."""
    embedding_parameters: int
    head_parameters: int
    non_embedding_parameters: int
    budget_flops: float
    seq_len: int
    """Tokens in a training sequence, BOS not counted."""
    batch_size: int
    """Sequences in a batch."""
    steps: int
    tokens: int
    """D = steps x batch_size x seq_len: BOS not counted."""
    bytes: int
    """Training text."""
    epochs: float
    """Passes over the training text."""
    flops: float
    """Planned training FLOPs under the default convention."""
    flops_by_convention: FrozenDict[str, float]
    optimizer: OptimizerConfig
    seed: int
    mc_passes: int
    """Independent passes of a Monte Carlo likelihood estimate."""
    execution: Execution
    tokens_sha256: str
    """Content hash of the tokenizer's manifest."""
    windows_manifest_sha256: str
    """Content hash of the scoring windows' manifest."""
    repeat: int = 0
    """Which repeat of the study the run is part of, from 0; see `[grid] studies`."""
    model_options: FrozenDict[str, FrozenJson] = FrozenDict()
    """The options that the study gives the architecture; `model_shape` holds what follows from them."""

    @property
    def content_sha256(self) -> str:
        """SHA-256 of every field, but fields of later versions that hold their defaults."""
        return sha256_without_defaults(self)

    @property
    def id(self) -> str:
        """The run's name: the first twelve hex digits of its content hash."""
        return self.content_sha256[:12]

    @property
    def parameters(self) -> int:
        """All parameters of the model."""
        return self.embedding_parameters + self.head_parameters + self.non_embedding_parameters


class TuningRun(FrozenModel):
    """A run of the tuning audit: the rule's setting, or one in which a single hyperparameter differs from it."""

    rate: float
    """log2 of the learning rate over the rule's."""
    batch: float
    """log2 of the batch size over the rule's, before rounding to full sequences."""
    weight_decay: float = 1.0
    """Weight decay over the rule's; 0 is none."""
    spec: RunSpec


class Plan(Record):
    """plan.json: every run of a study, resolved before any compute is spent."""

    inputs_sha256: str
    """SHA-256 of everything that the plan was made from."""
    study: str
    """The study's name."""
    workers: int
    """Runs trained at the same time."""
    rounds: int
    """How often the grid was extended."""
    runs: tuple[RunSpec, ...]
    tuning: tuple[TuningRun, ...] = ()
    """Runs of the tuning audit, which no fit uses. Where the rule's own setting is part of the audit, that run is also
    in `runs`."""

    @property
    def specs(self) -> list[RunSpec]:
        """All runs to train, each once."""
        return list({spec.id: spec for spec in [*self.runs, *(run.spec for run in self.tuning)]}.values())
